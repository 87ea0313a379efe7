"""A network out of a checkpoint is built once its sizes are known to be those of the file's tensors.

The configuration in a file may come from a stranger and ask for more memory than there is. So everything is built on
torch's `meta` device first, where a tensor has a shape and no numbers, and compared with what the file holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from hydra.errors import InstantiationException
from torch import Tensor, nn
from torch.nn.modules import module as modules

from anypose.bounds import memory
from anypose.engine.checkpoint import check_finite, check_fit
from anypose.engine.limits import numbers_of
from anypose.engine.task import Task
from anypose.settings import Misuse

T = TypeVar("T")
MOST_TENSORS = 5_000  # of a network that is to be trained; the largest here has 1,300
COPIES = 4  # weights, gradients and two moments
SPARE = 1000  # modules, and tensors that no file holds, beside those that its tensors call for
MODULES_EACH = 20  # that a tensor calls for at most: activations, dropout, containers
LARGEST_INPUT = 1 << 26  # numbers in one sample: 22 megapixels, or 1.3 million frames of 17 keypoints


class _TooMany(ValueError):
    """More parts than the file has tensors for."""


def built_to_fit(
    make: Callable[[], T], network: Callable[[T], nn.Module], weights: Mapping[str, Tensor], source: str
) -> T:
    """What `make` builds, with the file's weights in its network; nothing is allocated before the two fit.

    Args:
        make: builds it with Hydra, on torch's default device.
        network: of what it builds, the part that the weights are of.
        weights: the file's.
        source: the file, for messages.

    Raises:
        ValueError: naming what differs, or that it asks for more than the file holds.
    """
    try:
        with torch.device("meta"), _at_most(len(weights)):
            sketch = make()
    except InstantiationException as error:
        cause = error.__cause__ or error
        if isinstance(cause, _TooMany):
            told = f"{cause} The file has {len(weights)} tensors."
            raise ValueError(f"{source}: its configuration asks for {told} It was saved by another model.") from None
        if type(cause) in (RuntimeError, OverflowError):  # torch, of more bytes than can be counted
            first = str(cause).strip().splitlines()[0]
            raise ValueError(f"{source}: a network of its configuration's sizes cannot be built: {first}") from None
        raise
    check_fit(network(sketch), weights, source)
    for part in network(sketch).modules():
        _check_input(part, source)
    check_finite(weights, source)
    thing = make()
    network(thing).load_state_dict(weights)
    return thing


@contextmanager
def _at_most(tensors: int) -> Iterator[None]:
    """While networks are built: stop where more is registered than a file of so many tensors calls for."""
    counts = {"tensors": 0, "modules": 0}
    most = {"tensors": 2 * tensors + SPARE, "modules": MODULES_EACH * tensors + SPARE}

    def count(what: str) -> Callable[..., None]:
        def registered(*_: Any) -> None:
            counts[what] += 1
            if counts[what] > most[what]:
                raise _TooMany(f"more than {most[what]} {what}.")

        return registered

    handles = [
        modules.register_module_parameter_registration_hook(count("tensors")),
        modules.register_module_buffer_registration_hook(count("tensors")),
        modules.register_module_module_registration_hook(count("modules")),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def check_buildable(make: Callable[[], Task], settings: Mapping[str, Any]) -> None:
    """Refuse to build, to train, what this machine's memory cannot hold; nothing is allocated to find out.

    Args:
        make: as for `built_to_fit`.
        settings: those of the model, for messages.

    Raises:
        Misuse: naming what its size may come from.
    """
    sizes = [f"model.{key}={value}" for key, value in settings.items() if _is_size(value)]
    told = f"The network is too large. Lower one of {', '.join(sizes) or 'the settings of the model'}:"
    try:
        with torch.device("meta"), _at_most(MOST_TENSORS):
            sketch = make().model
    except InstantiationException as error:
        if isinstance(error.__cause__, _TooMany):
            raise Misuse(f"{told} it has {error.__cause__}") from None
        raise
    size = COPIES * sum(tensor.numel() * tensor.element_size() for tensor in sketch.state_dict().values())
    if size > memory():
        here = f"{memory() / 1e9:.3g} of this machine"
        raise Misuse(f"{told} it takes {size / 1e9:.3g} GB with gradients and moments, more than the {here}.")
    for part in sketch.modules():
        if (numbers := numbers_of(part)) > LARGEST_INPUT:
            raise Misuse(f"{told} it reads {numbers} numbers of one sample; up to {LARGEST_INPUT} are possible.")


def _is_size(value: Any) -> bool:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return any(map(_is_size, value))
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 1


def _check_input(network: nn.Module, source: str) -> None:
    """No tensor has the size of a window or a picture, so these are held against a limit."""
    if (numbers := numbers_of(network)) > LARGEST_INPUT:
        raise ValueError(
            f"{source}: its network reads {numbers} numbers of one sample; up to {LARGEST_INPUT} are possible. It was "
            "saved by another model."
        )
