"""The free Anny body: its keypoints posed and skinned, random people, its fit to a clip; nothing imports it unasked."""
