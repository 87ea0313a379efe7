"""Trains anything; knows devices, precision and checkpoints, and nothing of poses.

Others take from `checkpoint`, `command`, `device`, `distributed`, `durable`, `evaluation`, `finding`, `fitting`,
`interruptions`, `loading`, `place`, `restore`, `results`, `run`, `sentences`, `task`, `trainer`; the rest is the
room's own.
"""

from anypose.engine.interruptions import leave_at_once

leave_at_once()  # before what takes seconds to import

from anypose.engine import device as device  # noqa: E402  # first: it makes importing torch safe where a back-end is half installed
