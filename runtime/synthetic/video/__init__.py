"""Procedural untrimmed videos: shapes and stick figures that act among distractors and near misses.

Ten classes with known starts and ends, for training and evaluation without a download. Only the motion depends on the
class, not color, position or brightness.
"""

from .dataset import write_videos
from .scene import LABELS, SCENES_VERSION, Scene, render

__all__ = ["LABELS", "SCENES_VERSION", "Scene", "render", "write_videos"]
