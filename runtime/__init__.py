"""Run a bundle: features in, events out."""
