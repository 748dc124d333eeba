"""Deletion of old clips, pictures and events, and what is given up when the disk is full."""
