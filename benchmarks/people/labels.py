"""What every frame of the footage is labeled with."""

from __future__ import annotations

LABELS = (
    "walk", "run", "sit_down", "stand_up", "lie_down", "get_up", "squat", "bend", "reach", "push", "wave", "throw",
    "punch", "kick", "fight", "wrestle", "turn", "jump", "sweep", "fall", "fall_forward", "fall_back", "fall_side",
    "slump", "fall_begins", "fall_ends", "lying", "lying_on_bed", "sitting", "standing", "crouching", "dance",
    "hug", "rise_begins", "lie_down_ends", "flicker", "light_change", "cut",
)  # fmt: skip
"""Several may hold at once. A label is set while anybody in view does it; the last three belong to the picture."""
LABEL = {name: i for i, name in enumerate(LABELS)}

MEASURES = ("lowest head", "fastest descent", "people", "fastest walk", "largest person")
"""Numbers for every frame: height of the lowest head (body heights) and its vertical speed (m/s), people in view, the
highest speed over ground (m/s), and the height of the nearest person as a share of the picture."""
