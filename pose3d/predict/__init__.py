"""From pictures or keypoints to motion.

Others take from `film`, `job`, `lifting`, `people`, `pipeline`, `rig`, `sinks`, `source`, `tracks`; the rest is the
room's own.
"""
