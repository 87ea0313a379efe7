"""Parts of the lifters, their errors, conversion of weights, the offline road.

Others take from `annealing`, `arrays`, `bone_lengths`, `centred`, `detected_windows`, `elsewhere`, `errors`,
`foreign_mlp`, `graph_attention`, `missing_keypoints`, `mixture`, `mixture_errors`, `published`, `published_agformer`,
`redrawing`, `residual_mlp`, `sliding`, `streaming_form`, `temporal`, `trajectory`; the rest is the room's own.
"""
