"""Invented pictures of people: figures, rendering, scenery.

Others take from `figure`, `render`, `scenery`; the rest is the room's own.
"""
