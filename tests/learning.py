"""A few steps of a task on one batch."""

from __future__ import annotations

from typing import Any

import torch


def few_steps(task: Any, batch: Any, steps: int) -> tuple[list[float], dict[str, Any]]:
    """The loss before each step of Adam, and the terms of the last."""
    optimizer = torch.optim.Adam(task.model.parameters(), lr=1e-3)
    losses, terms = [], {}
    for _ in range(steps):
        loss, terms = task.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses, terms
