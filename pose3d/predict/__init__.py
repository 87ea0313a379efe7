"""From pictures or keypoints to motion.

Others take from `agreement`, `film`, `finding`, `ground`, `job`, `lifters`, `lifting`, `networks`, `people`,
`pipeline`, `rig`, `settings`, `sinks`, `tracks`, `windows`; the rest is the room's own.
"""
