"""What a 2D run shows.

Others take from `people`; the rest is the room's own.
"""
