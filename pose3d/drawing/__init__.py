"""What a 3D run shows.

Others take from `pictures`; the rest is the room's own.
"""
