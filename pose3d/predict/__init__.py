"""From pictures or keypoints to motion.

Others take from `film`, `finding`, `ground`, `job`, `networks`, `people`, `pipeline`, `rig`, `settings`, `sinks`,
`tracks`, `windows`; the rest is the room's own.
"""
