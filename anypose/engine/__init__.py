"""Trains anything; knows devices, precision and checkpoints, and nothing of poses.

Others take from `checkpoint`, `command`, `device`, `distributed`, `durable`, `evaluation`, `finding`, `fitting`,
`interruptions`, `loading`, `place`, `restore`, `results`, `run`, `sentences`, `task`, `trainer`; the rest is the
room's own.
"""

from anypose.engine import device as device  # first: it makes importing torch safe where a back-end is half installed
