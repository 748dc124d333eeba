"""What tests of `punctum run --stream` share: the demo bundle, its features and offline events, and senders."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime.events.event import Event
from punctum.runtime.sources.framing import encode_end, encode_header, encode_record
from punctum.runtime.synthetic.sensors import CHANNELS, STRIDE_S, make_sequence

BUNDLE = str(resources.files("punctum.runtime") / "assets" / "demo")
SENDERS = Path(__file__).parents[1] / "system" / "senders"
PUNCTUM = [sys.executable, "-c", "from punctum.runtime.cli import main; main()", "run", BUNDLE]
NAN = np.full((3, CHANNELS), np.nan, np.float32)


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return make_sequence(99, seconds=60).features


@pytest.fixture(scope="module")
def offline(features) -> list[Event]:
    from punctum.runtime import Bundle, Localizer

    return Localizer(Bundle.load(BUNDLE)).localize(features)


def read(text: str) -> list[Event]:
    return [Event.from_json(line) for line in text.splitlines()]


@functools.cache
def _minimum() -> float:
    from punctum.runtime import Bundle

    found = Bundle.load(BUNDLE).manifest.calibration
    assert found is not None
    (least,) = {each.min_score for each in found.classes}
    return least


def same(found: list[Event], wanted: list[Event]) -> None:
    """The final events are those of an offline run from the bundle's minimum score on: labels and order exactly, times
    and scores within 1e-4."""
    wanted = [e for e in wanted if e.score >= _minimum()]
    finals = [e for e in found if e.phase == "final"]
    assert [e.label for e in finals] == [e.label for e in wanted]
    for a, b in zip(finals, wanted, strict=True):
        assert abs(a.start - b.start) < 1e-4
        assert abs(a.end - b.end) < 1e-4
        assert abs(a.score - b.score) < 1e-4
    assert len({e.id for e in finals}) == len(finals)


def frames(*parts: tuple[np.ndarray, float | None] | bytes, end: bool = True, dim: int = CHANNELS) -> bytes:
    data = encode_header(dim=dim, stride_s=STRIDE_S, name="cam")
    for part in parts:
        data += part if isinstance(part, bytes) else encode_record(part[0], at=part[1])
    return data + (encode_end() if end else b"")


def start(*arguments: object, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [*PUNCTUM, *map(str, arguments), "--stream"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


def announced(run: subprocess.Popen, pattern: bytes) -> re.Match[bytes]:
    """The first match in a line of standard error; other lines may come before it."""
    assert run.stderr is not None
    lines = []
    while line := run.stderr.readline():
        lines.append(line)
        if match := re.search(pattern, line):
            return match
    raise AssertionError(b"".join(lines).decode())


def wait_for(condition, seconds: float = 60.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.02)
