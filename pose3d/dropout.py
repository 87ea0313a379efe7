"""Dropout."""

from __future__ import annotations

from torch import nn


class Dropout(nn.Dropout):
    """Zero a share `p` of the values in training, scale the rest by 1 / (1 - p)."""
