"""How good keypoints are: AP, OKS, PCKh.

Others take from `average_precision`, `collected`, `oks`, `pckh`; the rest is the room's own.
"""
