"""Precision variants of a bundle: fp16 and int8 graphs, each with its parity and its cost in mAP."""
