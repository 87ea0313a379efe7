"""How an epoch's samples fall into batches, the same for windows of motion and for pictures."""

from __future__ import annotations


def samples_each(samples: int, world_size: int, drop_last: bool) -> int:
    """How many samples of an epoch each process takes: those that do not divide are left out, or some come twice."""
    return samples // world_size if drop_last else -(-samples // world_size)


def batch_stretches(samples: int, batch_size: int, drop_last: bool) -> list[slice]:
    """The batches of one process as stretches of its order.

    With `drop_last` whole batches alone. Without, every sample is in one; a single sample that is left over joins the
    batch before it, because batch normalisation knows no statistics of one.

    Args:
        samples: of this process.
        batch_size: of this process.
        drop_last: leave out what fills no batch.
    """
    whole, rest = divmod(samples, batch_size)
    ends = [batch_size * (i + 1) for i in range(whole)]
    if rest and not drop_last:
        if rest == 1 and whole and batch_size > 1:
            ends[-1] += 1
        else:
            ends.append(samples)
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
