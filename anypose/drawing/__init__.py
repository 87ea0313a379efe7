"""Poses, charts and skeletons as pictures."""
