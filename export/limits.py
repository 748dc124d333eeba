"""What an export may cost."""

MAX_MAP_DROP = 0.5
"""Points of mAP that a precision variant may lose."""
