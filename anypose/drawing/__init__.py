"""Poses, charts and skeletons as pictures.

Others take from `charts`, `pictures`, `poses`, `side_by_side`, `viewer`; the rest is the room's own.
"""
