"""Confidence from clicks: events on held-out training videos, judged by clicks; from them a map and a threshold."""
