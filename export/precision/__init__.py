"""Precision variants of a bundle: fp16 and int8 graphs, each with its parity and its cost in mAP."""

MAX_MAP_DROP = 0.5
"""Default bound of the mAP that a precision variant may lose, in points."""
