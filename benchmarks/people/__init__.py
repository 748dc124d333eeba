"""Procedural footage of people with labels for every frame: what the shipped backbone weights are learned from."""
