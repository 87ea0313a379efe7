"""Choices of `task=`: each file has a YAML of the same stem in conf/task/."""
