"""Quicker ways to the same results, put into plain networks from outside.

Others take from `blockwise`, `frame_by_frame`, `linear`, `swap`; the rest is the room's own.
"""
