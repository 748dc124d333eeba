"""Small reports, and what a page holds, for tests."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime import Bundle
from punctum.runtime.events.event import Event
from punctum.runtime.report import RecordingReport
from punctum.runtime.synthetic.sensors import LABELS, make_sequence

SECONDS = 40.0  # of the recording


class Page(HTMLParser):
    """Elements, their attributes, and the text of scripts, style and h1."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {"script": [], "style": [], "h1": []}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open = tag
        if tag in self.texts:
            self.texts[tag].append("")

    def handle_endtag(self, tag):
        self._open = ""

    def handle_data(self, data):
        if self._open in self.texts:
            self.texts[self._open][-1] += data

    @property
    def data(self) -> dict:
        return json.loads(self.texts["script"][0])


def event(label: str = "lift", start: float = 1.0, end: float = 2.0, **changes) -> Event:
    values = {"stream": "s", "id": f"s/{label}/{start}", "revision": 0, "phase": "final", "score": 0.5, "bundle": "b"}
    times = {"label": label, "start": start, "end": end, "emitted_at": end + 1.0, "delay_s": 1.0}
    return Event(**(values | times | changes))


def small(**changes) -> RecordingReport:
    values = {"title": "a title", "labels": ("lift", "swipe"), "duration_s": 10.0, "events": (event(),)}
    return RecordingReport(**(values | changes))


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
    return Bundle.load(str(resources.files("punctum.runtime") / "assets" / "demo"))


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Path:
    """seq.npy and its truth seq.json."""
    folder = tmp_path_factory.mktemp("recording")
    sequence = make_sequence(99, seconds=SECONDS)
    np.save(folder / "seq.npy", sequence.features)
    actions = [{"label": LABELS[c], "segment": [a, b]} for c, a, b in sequence.actions]
    (folder / "seq.json").write_text(json.dumps({"database": {"seq": {"annotations": actions}}}))
    return folder / "seq.npy"
