"""The free Anny body: its keypoints posed and skinned, random people, its fit to a clip; nothing imports it unasked.

Others take from `anny`, `captured`, `drawn`, `fit`, `keypoint_body`, `people`, `points`, `rig`, `seen`,
`shared_floor`, `terms`; the rest is the room's own.
"""
