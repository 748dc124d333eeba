"""Recorded sessions, replayed by the Python session and by libpunctum; `ctest` replays them without Python, too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime import PostProcess
from punctum.runtime.bundle.calibration import Calibration
from punctum.runtime.errors import InputError
from punctum.runtime.live import LiveOptions
from punctum.runtime.session.plan import Plan
from punctum.runtime.session.session import Session
from punctum.runtime.session.snapshot import decode

from tests.native import binding, record, twin

FILES = sorted(record.FOLDER.glob("*.jsonl"))


class Answers:
    """An engine that gives the recorded answers and checks what it is asked."""

    requested = actual = "recorded"

    def __init__(self, tracks: bool) -> None:
        self.tracks, self.queue = tracks, []

    def locate(self, features):
        if self.tracks:
            return features[:, :-1], features[:, -1]
        want = self.queue.pop(0)
        assert (want["want"], want["rows"]) == ("locate", len(features))
        rows = np.array(want["tracks"], np.float32).reshape(len(features), -1)
        return rows[:, :-1], rows[:, -1]

    def score(self, features, tracks, segments, labels):
        want = self.queue.pop(0)
        assert (want["want"], want["rows"], want["labels"]) == ("score", len(tracks), labels.tolist())
        np.testing.assert_allclose(segments.ravel(), want["segments"], atol=2e-5)
        head = (np.array(want[key], np.float32) for key in ("class_probability", "attention", "center"))
        return tuple(part.reshape((len(labels), -1) if k == 0 else -1) for k, part in enumerate(head))


class Python:
    def __init__(self, header) -> None:
        manifest, options = header["manifest"], header["options"]
        features, locator, backbone = manifest["features"], manifest["locator"], manifest.get("backbone")
        plan = Plan(
            tuple(manifest["labels"]),
            features["dim"],
            features["stride_s"],
            locator["left"],
            locator["right"],
            PostProcess(**manifest["post"]),
            manifest["id"],
            overhang_s=backbone["right_frames"] / backbone["fps"] if backbone else 0.0,
            calibration=Calibration(**manifest["calibration"]) if "calibration" in manifest else None,
        )
        case = twin.Case(plan.post, None, _mode(options), True, plan.stride_s, plan.overhang_s, 0.0, 0)
        self.known, self.plan = plan, replace(twin.plans(case)[1], calibration=plan.calibration)
        self.engine = Answers(options["mode"] == "tracks")
        self.live = LiveOptions(
            max_delay_s=options["max_delay_s"] or None,
            report_score=None if options["report_score"] < 0 else options["report_score"],
            open_score=options["open_score"],
            tick_s=options["tick_s"] or None,
        )
        self.options = options
        self.session = Session(
            self.plan,
            self.engine,
            stream="s",
            start_s=options["start_s"],
            live=self.live,
            run_id=options.get("run_id", ""),
        )

    def push(self, rows, at, lost):
        return self.session.push(rows, at=at, lost=lost)

    def degrade(self, on):
        self.session.degraded = on

    def restore(self):
        self.session = Session.from_state(self.plan, self.engine, decode(self.session.snapshot(), self.plan))


class Native(Python):
    def __init__(self, header, library) -> None:
        super().__init__(header)
        self.native_plan = library.plan(header["manifest"])
        self.settings = {"mode": _mode(self.options), "keep_features": self.options["keep_features"]}
        self.session = binding.NativeSession(
            self.native_plan,
            self.plan,
            self.engine,
            start_s=self.options["start_s"],
            live=self.live,
            stream="s",
            run_id=self.options.get("run_id", ""),
            **self.settings,
        )

    def push(self, rows, at, lost):
        tracks = rows if self.settings["mode"] == binding.TRACKS else None
        return self.session.push(rows, tracks=tracks, at=at, lost=lost)

    def degrade(self, on):
        self.session.degrade(on)

    def restore(self):
        rows, frozen = self.session.rows, self.session.snapshot()
        self.session = binding.NativeSession(self.native_plan, self.plan, self.engine, frozen=frozen, **self.settings)
        self.session.rows = rows


def _mode(options) -> int:
    return binding.TRACKS if options["mode"] == "tracks" else binding.WINDOWS


def replay(player, calls) -> int:
    said = 0
    for number, line in enumerate(calls):
        player.engine.queue = list(line.get("wants", ()))
        events, refused = [], None
        try:
            if line["call"] in ("push", "gap"):
                rows = np.array(line["rows"], np.float32).reshape(line["count"], -1 if line["count"] else twin.DIM)
                events = player.push(rows, line["at"], [tuple(hole) for hole in line["lost"]])
            elif line["call"] == "flush":
                events = player.session.flush()
            elif line["call"] == "degrade":
                player.degrade(line["on"])
            elif line["call"] == "reset":
                player.session.reset(start_s=line["start_s"])
            else:
                player.restore()
        except (InputError, binding.NativeError) as error:
            refused = error.code
        assert refused == line.get("refused"), f"call {number}"
        assert not player.engine.queue, f"call {number}: wants that did not come"
        for event, expected in zip(events, line.get("events", ()), strict=True):
            for name, value in zip(record.FIELDS, expected, strict=True):
                got = getattr(event, name)
                same = abs(got - value) <= 1e-6 if isinstance(value, float) else got == value
                assert same, f"call {number}, {event.id}: {name} is {got}, expected {value}"
            assert abs(event.delay_s - (event.emitted_at - event.end)) < 1e-9
        said += len(events)
    return said


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("who", ["python", "native"])
def test_a_recording_is_replayed(path: Path, who, request):
    header, *calls = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    player = Python(header) if who == "python" else Native(header, request.getfixturevalue("library"))
    assert replay(player, calls) > 0


def test_the_recordings_cover_what_can_be_called():
    assert sorted(name for name, _ in record.cases()) == sorted(path.stem for path in FILES)
    lines = [json.loads(line) for path in FILES for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    assert {line["call"] for line in lines} == {"push", "gap", "flush", "degrade", "reset", "snapshot"}
    assert {want["want"] for line in lines for want in line.get("wants", ())} == {"locate", "score"}
    assert {event[2] for line in lines for event in line.get("events", ())} == {"open", "update", "final", "retracted"}
    assert any("refused" in line for line in lines)
    assert sum(path.stat().st_size for path in FILES) < 1_000_000
