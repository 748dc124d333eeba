"""Forward kinematics: joint angles of a person -> places of the joints.

The body faces +x, its left is +y and up is +z. The pelvis is placed so that the lowest part of the body touches the
ground (or the surface it lies on), and the mean of both ankles stays at the place of the person.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]

ANGLES = (
    "pitch", "roll", "spine", "side", "hip_l", "hip_r", "spread_l", "spread_r", "knee_l", "knee_r", "shoulder_l",
    "shoulder_r", "lift_l", "lift_r", "elbow_l", "elbow_r", "nod", "jump", "support",
)  # fmt: skip
"""Parameters of a pose: 17 angles in radians, height of a jump, and height of the surface below, in meters."""
INDEX = {name: i for i, name in enumerate(ANGLES)}
FREE = np.arange(len(ANGLES)) < INDEX["jump"]
"""True for the angles, to which noise may be added."""
_PAIRS = ("hip", "spread", "knee", "shoulder", "lift", "elbow")
_REST = {"knee": 0.06, "shoulder": 0.05, "lift": 0.12, "elbow": 0.2}

# Distance of the skin from the joints that can touch the ground, in body heights.
_TOUCH = {
    "pelvis": 0.07, "neck": 0.05, "head": 0.06, "hip_l": 0.06, "hip_r": 0.06, "knee_l": 0.035, "knee_r": 0.035,
    "ankle_l": 0.03, "ankle_r": 0.03, "toe_l": 0.015, "toe_r": 0.015, "shoulder_l": 0.05, "shoulder_r": 0.05,
}  # fmt: skip

PARTS = (
    ("hip_l", "shoulder_l", 0.05, 0.05, "shirt"),
    ("hip_r", "shoulder_r", 0.05, 0.05, "shirt"),
    ("pelvis", "neck", 0.065, 0.06, "shirt"),
    ("shoulder_l", "shoulder_r", 0.04, 0.04, "shirt"),
    ("hip_l", "hip_r", 0.06, 0.06, "trousers"),
    ("hip_l", "knee_l", 0.05, 0.036, "trousers"),
    ("knee_l", "ankle_l", 0.036, 0.026, "trousers"),
    ("ankle_l", "toe_l", 0.025, 0.02, "shoes"),
    ("hip_r", "knee_r", 0.05, 0.036, "trousers"),
    ("knee_r", "ankle_r", 0.036, 0.026, "trousers"),
    ("ankle_r", "toe_r", 0.025, 0.02, "shoes"),
    ("shoulder_l", "elbow_l", 0.032, 0.026, "sleeves"),
    ("elbow_l", "wrist_l", 0.025, 0.022, "skin"),
    ("shoulder_r", "elbow_r", 0.032, 0.026, "sleeves"),
    ("elbow_r", "wrist_r", 0.025, 0.022, "skin"),
    ("neck", "head", 0.03, 0.05, "skin"),
    ("head", "head", 0.062, 0.062, "hair"),
)
"""Drawn parts: joints at both ends, radii there in body heights, and what covers them."""


def pose(**angles: float) -> F64:
    """A pose [19] that differs from standing by the named angles; a name without `_l` or `_r` is for both sides."""
    values = np.zeros(len(ANGLES))
    for name, value in {**_REST, **angles}.items():
        for index in [INDEX[f"{name}_l"], INDEX[f"{name}_r"]] if name in _PAIRS else [INDEX[name]]:
            values[index] = value
    return values


def joints(poses: F64, yaw: F64, places: F64, height: float) -> dict[str, F64]:
    """Places of the joints over time.

    Args:
        poses: [T, 19].
        yaw: direction that the person faces [T], radians.
        places: [T, 2], meters on the ground.
        height: of the person in meters.

    Returns:
        joint -> [T, 3] in meters.
    """

    def angle(name: str) -> F64:
        values: F64 = poses[:, INDEX[name]]
        return values

    def along(turn: F64, *way: float) -> F64:
        moved: F64 = turn @ (np.array(way) * height)
        return moved

    root = about_z(yaw) @ _about_y(angle("pitch")) @ _about_x(angle("roll"))
    chest = root @ _about_y(angle("spine")) @ _about_x(angle("side"))
    found = {"pelvis": np.zeros((len(poses), 3)), "neck": along(chest, 0, 0, 0.29)}
    found["head"] = found["neck"] + along(chest @ _about_y(angle("nod")), 0.01, 0, 0.1)
    for side, sign in (("l", 1), ("r", -1)):
        thigh = root @ _about_x(sign * angle(f"spread_{side}")) @ _about_y(-angle(f"hip_{side}"))
        shin = thigh @ _about_y(angle(f"knee_{side}"))
        found[f"hip_{side}"] = along(root, 0, sign * 0.052, -0.01)
        found[f"knee_{side}"] = found[f"hip_{side}"] + along(thigh, 0, 0, -0.245)
        found[f"ankle_{side}"] = found[f"knee_{side}"] + along(shin, 0, 0, -0.235)
        found[f"toe_{side}"] = found[f"ankle_{side}"] + along(shin, 0.1, 0, -0.02)
        upper = chest @ _about_x(sign * angle(f"lift_{side}")) @ _about_y(-angle(f"shoulder_{side}"))
        found[f"shoulder_{side}"] = along(chest, 0, sign * 0.11, 0.265)
        found[f"elbow_{side}"] = found[f"shoulder_{side}"] + along(upper, 0, 0, -0.17)
        lower = upper @ _about_y(-angle(f"elbow_{side}"))
        found[f"wrist_{side}"] = found[f"elbow_{side}"] + along(lower, 0, 0, -0.19)
    lowest = np.min([found[name][:, 2] - depth * height for name, depth in _TOUCH.items()], axis=0)
    offset = np.zeros((len(poses), 3))
    offset[:, :2] = places - (found["ankle_l"][:, :2] + found["ankle_r"][:, :2]) / 2
    offset[:, 2] = angle("support") + angle("jump") - lowest
    return {name: place + offset for name, place in found.items()}


def about_z(angle: F64) -> F64:
    """Rotations [..., 3, 3] about the vertical."""
    c, s, o = np.cos(angle), np.sin(angle), np.zeros_like(angle)
    return _matrix([[c, -s, o], [s, c, o], [o, o, o + 1]])


def _about_y(angle: F64) -> F64:
    c, s, o = np.cos(angle), np.sin(angle), np.zeros_like(angle)
    return _matrix([[c, o, s], [o, o + 1, o], [-s, o, c]])


def _about_x(angle: F64) -> F64:
    c, s, o = np.cos(angle), np.sin(angle), np.zeros_like(angle)
    return _matrix([[o + 1, o, o], [o, c, -s], [o, s, c]])


def _matrix(rows: list[list[F64]]) -> F64:
    return np.stack([np.stack(row, -1) for row in rows], -2)
