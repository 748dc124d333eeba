"""Pixels of one frame: background, bodies, occluders, light and noise, each in one pass over the pixels it touches.

Canvas float32 [H, W, 3] in 0..255; coordinates in pixels, y down, pixel (i, j) has its center at (j + 0.5, i + 0.5).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ._jit import jit

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]

BINS = 256  # entries of an outline: radius over angle, mean about 1
STRIPES, SECTORS, HALVES, RINGS = 0, 1, 2, 3  # textures of a body


@jit("void(f4[:, :, ::1], f4[:, :, ::1], f8, f8)", writes=("canvas",))
def paint_backdrop(canvas: F32, texture: F32, shift_y: float, shift_x: float) -> None:
    """The part of `texture` float32 [H + 2m, W + 2m, 3] that a camera moved by (shift_y, shift_x) sees."""
    height, width, _ = canvas.shape
    top = (texture.shape[0] - height) // 2 - shift_y
    left = (texture.shape[1] - width) // 2 - shift_x
    top = min(max(top, 0.0), texture.shape[0] - height - 1.0)
    left = min(max(left, 0.0), texture.shape[1] - width - 1.0)
    i0, j0 = int(top), int(left)
    fy, fx = np.float32(top - i0), np.float32(left - j0)
    one = np.float32(1.0)
    for i in range(height):
        for j in range(width):
            for c in range(3):
                above = (one - fx) * texture[i0 + i, j0 + j, c] + fx * texture[i0 + i, j0 + j + 1, c]
                below = (one - fx) * texture[i0 + i + 1, j0 + j, c] + fx * texture[i0 + i + 1, j0 + j + 1, c]
                canvas[i, j, c] = (one - fy) * above + fy * below


@jit("void(f4[:, :, ::1], f4[:, :, ::1], f8, f8, f8, f8, f8, f8)", writes=("canvas",))
def paint_block(
    canvas: F32,
    texture: F32,
    top: float,
    left: float,
    bottom: float,
    right: float,
    shift_y: float,
    shift_x: float,
) -> None:
    """An upright rectangle that hides what was painted before; its texture moves with it."""
    height, width, _ = canvas.shape
    top, bottom, left, right = top + shift_y, bottom + shift_y, left + shift_x, right + shift_x
    for i in range(max(int(top), 0), min(int(bottom) + 1, height)):
        tall = min(i + 1.0, bottom) - max(float(i), top)
        for j in range(max(int(left), 0), min(int(right) + 1, width)):
            cover = np.float32(tall * (min(j + 1.0, right) - max(float(j), left)))
            y = min(max(int(i + 0.5 - top), 0), texture.shape[0] - 1)
            x = min(max(int(j + 0.5 - left), 0), texture.shape[1] - 1)
            for c in range(3):
                canvas[i, j, c] += cover * (texture[y, x, c] - canvas[i, j, c])


@jit("void(f4[:, :, ::1], f8, f8, f8, f8, f8, f8, f8, f4[::1], i8, f8, f4[:, ::1])", writes=("canvas",))
def paint_shape(
    canvas: F32,
    cx: float,
    cy: float,
    radius: float,
    turn: float,
    stretch: float,
    axis: float,
    alpha: float,
    outline: F32,
    texture: int,
    frequency: float,
    colors: F32,
) -> None:
    """A star-shaped body: `outline` [BINS] gives its rim over the angle in units of `radius`.

    stretch: how much longer it is along `axis` (radians), at equal area. colors float32 [2, 3], of its texture.
    """
    height, width, _ = canvas.shape
    low = high = outline[0]
    for k in range(1, len(outline)):
        low, high = min(low, outline[k]), max(high, outline[k])
    reach = radius * high * max(stretch, 1.0 / stretch) + 1.0
    ca, sa, ct, st = math.cos(axis), math.sin(axis), math.cos(turn), math.sin(turn)
    for i in range(max(int(cy - reach), 0), min(int(cy + reach) + 1, height)):
        for j in range(max(int(cx - reach), 0), min(int(cx + reach) + 1, width)):
            dx, dy = j + 0.5 - cx, i + 0.5 - cy
            along, across = (dx * ca + dy * sa) / stretch, (dy * ca - dx * sa) * stretch
            wx, wy = along * ca - across * sa, along * sa + across * ca
            x, y = wx * ct + wy * st, wy * ct - wx * st
            rho = math.sqrt(x * x + y * y)
            if rho > radius * high + 1.0:
                continue
            cover = alpha
            if rho > radius * low - 1.0:
                place = (math.atan2(y, x) / (2.0 * math.pi) + 1.0) * BINS
                k = int(place)
                part = place - k
                rim = (1.0 - part) * outline[k % BINS] + part * outline[(k + 1) % BINS]
                cover = alpha * min(max(radius * rim - rho + 0.5, 0.0), 1.0)
            if texture == STRIPES:
                tone = math.sin(frequency * x / radius) * radius / frequency
            elif texture == SECTORS:
                tone = x * y * 2.0 / (rho + 0.5)
            elif texture == HALVES:
                tone = x
            else:
                tone = math.sin(frequency * math.sqrt((x - 0.4 * radius) ** 2 + y * y) / radius) * radius / frequency
            mix = min(max(0.5 + tone, 0.0), 1.0)
            for c in range(3):
                paint = mix * colors[0, c] + (1.0 - mix) * colors[1, c]
                canvas[i, j, c] += np.float32(cover * (paint - canvas[i, j, c]))


@jit
def paint_bone(canvas: F32, x0: float, y0: float, x1: float, y1: float, thick: float, alpha: float, color: F32) -> None:
    """A limb: everything within `thick` of the line from (x0, y0) to (x1, y1)."""
    height, width, _ = canvas.shape
    dx, dy = x1 - x0, y1 - y0
    length = max(dx * dx + dy * dy, 1e-9)
    for i in range(max(int(min(y0, y1) - thick - 1.0), 0), min(int(max(y0, y1) + thick + 2.0), height)):
        for j in range(max(int(min(x0, x1) - thick - 1.0), 0), min(int(max(x0, x1) + thick + 2.0), width)):
            px, py = j + 0.5 - x0, i + 0.5 - y0
            t = min(max((px * dx + py * dy) / length, 0.0), 1.0)
            away = math.sqrt((px - t * dx) ** 2 + (py - t * dy) ** 2)
            cover = alpha * min(max(thick - away + 0.5, 0.0), 1.0)
            if cover > 0.0:
                for c in range(3):
                    canvas[i, j, c] += np.float32(cover * (color[c] - canvas[i, j, c]))


@jit("void(f4[:, :, ::1], f8, f8, f8, f8, f8, f8, f8, f8[::1], f4[:, ::1])", writes=("canvas",))
def paint_figure(
    canvas: F32,
    cx: float,
    cy: float,
    radius: float,
    turn: float,
    stretch: float,
    axis: float,
    alpha: float,
    limbs: F64,
    colors: F32,
) -> None:
    """A stick figure of half height `radius`, upright at turn 0. limbs [4]: left arm, right arm, left leg, right leg,
    radians from hanging down, outwards."""
    ca, sa, ct, st = math.cos(axis), math.sin(axis), math.cos(turn), math.sin(turn)
    # Joints in units of radius: hip, neck, shoulder, head, then the ends of the limbs.
    x = np.zeros(8)
    y = np.zeros(8)
    y[0], y[1], y[2], y[3] = 0.12, -0.55, -0.42, -0.76
    for k in range(4):
        side = -1.0 if k % 2 == 0 else 1.0
        length = 0.62 if k < 2 else 0.86
        x[4 + k] = side * length * math.sin(limbs[k])
        y[4 + k] = (y[2] if k < 2 else y[0]) + length * math.cos(limbs[k])
    for k in range(8):
        wx, wy = radius * (x[k] * ct - y[k] * st), radius * (x[k] * st + y[k] * ct)
        along, across = (wx * ca + wy * sa) * stretch, (wy * ca - wx * sa) / stretch
        x[k], y[k] = cx + along * ca - across * sa, cy + along * sa + across * ca
    thick = max(0.095 * radius, 0.9)
    paint_bone(canvas, x[0], y[0], x[6], y[6], thick, alpha, colors[1])
    paint_bone(canvas, x[0], y[0], x[7], y[7], thick, alpha, colors[1])
    paint_bone(canvas, x[1], y[1], x[0], y[0], 1.5 * thick, alpha, colors[0])
    paint_bone(canvas, x[2], y[2], x[4], y[4], thick, alpha, colors[0])
    paint_bone(canvas, x[2], y[2], x[5], y[5], thick, alpha, colors[0])
    paint_bone(canvas, x[3], y[3], x[3], y[3], 0.21 * radius, alpha, colors[1])


@jit("void(f4[:, :, ::1], f8, f8, f4[:, :, ::1], i8, i8, u1[:, :, ::1])", writes=("out",))
def expose(canvas: F32, gain: float, slope: float, noise: F32, top: int, left: int, out: U8) -> None:
    """Simulate the camera: light (times `gain`, and `slope` more at the right than at the left), noise, bytes."""
    height, width, _ = canvas.shape
    for i in range(height):
        for j in range(width):
            light = np.float32(gain + slope * (j / width - 0.5))
            for c in range(3):
                value = canvas[i, j, c] * light + noise[top + i, left + j, c]
                out[i, j, c] = np.uint8(min(max(value + np.float32(0.5), np.float32(0.0)), np.float32(255.0)))
