"""After training: export, runtimes, pictures, doctor."""

from engine import device as device  # first: it makes importing torch safe where a back-end is half installed
