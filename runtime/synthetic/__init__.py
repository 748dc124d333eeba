"""Synthetic data: sensor sequences and rendered videos with known actions."""
