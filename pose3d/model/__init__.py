"""Choices of `model=`: each file has a YAML of the same stem in conf/model/."""
