"""Parts of the networks that read images: trunks, heatmaps, weights of other projects."""
