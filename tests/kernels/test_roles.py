"""Roles of `warm_up` name the kernels that are used, so that nothing is compiled later."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from punctum import kernels
from punctum.kernels import _jit

ASSETS = Path(__file__).parents[2] / "runtime" / "assets"


@pytest.fixture
def used(monkeypatch):
    """Names of the kernels that public functions call."""
    names = set()

    def note(kernel, *arguments):
        names.add(kernel.name)
        return kernel._run(*arguments)

    monkeypatch.setattr(_jit.Kernel, "__call__", note)
    return names


def test_a_stream_uses_the_kernels_of_its_role(used):
    pytest.importorskip("onnxruntime", reason="running a bundle")
    from punctum.runtime import Bundle, Localizer
    from punctum.runtime.live import LiveOptions
    from punctum.runtime.synthetic.sensors import make_sequence

    localizer = Localizer(Bundle.load(ASSETS / "demo"))
    features = make_sequence(1_000_007, seconds=40.0).features
    assert list(localizer.stream(iter(np.array_split(features, 20)), live=LiveOptions(max_delay_s=1.0)))
    assert localizer.localize(features)
    assert used <= set(kernels.ROLES["run"])
    assert set(kernels.ROLES["run"]) - used <= {"resize_resize", "pool_pool"}  # of video, and of newer scorers


def test_a_rendered_video_uses_the_kernels_of_the_demo(used):
    from punctum.runtime.synthetic.video import render

    for seed in range(4):
        for _ in render(seed, seconds=5.0).frames():
            pass
    assert used == {name for name in kernels.ROLES["demo"] if name.startswith("draw_")}


def test_evaluation_uses_the_kernels_of_its_role(used):
    segments = np.array([[0.0, 2.0], [4.0, 6.0]])
    zeros = np.zeros(2, np.int64)
    levels = [0.5]
    kernels.average_precision(zeros, zeros, segments, zeros, zeros, segments, [0.9, 0.8], levels, videos=1, classes=1)
    kernels.segment_iou(segments, segments)
    assert used == set(kernels.ROLES["eval"])
