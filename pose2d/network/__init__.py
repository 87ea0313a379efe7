"""Parts of the networks that read images: trunks, heatmaps, weights of other projects.

Others take from `detectors`, `foreign`, `heatmap`, `lineages`, `pixels`, `resnet`, `weight_files`, `weights`; the
rest is the room's own.
"""
