"""Poses, charts and skeletons as pictures.

Others take from `charts`, `poses`, `side_by_side`, `viewer`; the rest is the room's own.
"""
