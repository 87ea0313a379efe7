"""Total capture: fields, assembly, lifting of fields, its people and scores.

Others take from `assembly`, `fields`, `figure`, `layout`, `lifting`, `loss`, `people`, `region_masks`, `scenes`,
`scores`, `weights`; the rest is the room's own.
"""
