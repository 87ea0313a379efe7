"""Choices of `dataset=`: each file has a YAML of the same stem in conf/dataset/."""
