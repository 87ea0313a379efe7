"""From pictures or keypoints to motion.

Others take from `film`, `finding`, `ground`, `job`, `networks`, `people`, `pipeline`, `rig`, `sinks`, `source`,
`tracks`, `windows`; the rest is the room's own.
"""
