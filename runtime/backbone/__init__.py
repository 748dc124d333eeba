"""Backbones: networks that turn video frames into features, and the code that runs them."""
