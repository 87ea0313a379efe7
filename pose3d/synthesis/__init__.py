"""Invented motion: bodies, kinematics, actions, rendered people.

Others take from `actions`, `body`, `choreography`, `detections`, `free_poses`, `kinematics`, `performance`, `points`,
`proportions`, `redrawn`, `rendered_people`, `viewpoints`; the rest is the room's own.
"""
