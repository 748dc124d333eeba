"""Procedural untrimmed videos: shapes and stick figures that act among distractors and near misses.

Ten kinds of action with known starts and ends, for learning and judging without a download. Colour, place and
brightness say nothing about the class; only the motion does.
"""

from .dataset import write_videos
from .scene import LABELS, SCENES_VERSION, Scene, render

__all__ = ["LABELS", "SCENES_VERSION", "Scene", "render", "write_videos"]
