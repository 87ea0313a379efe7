"""Trains anything; knows devices, precision and checkpoints, and nothing of poses."""

from anypose.engine import device as device  # first: it makes importing torch safe where a back-end is half installed
