"""Write the recorded sessions that every implementation has to replay: python -m tests.native.record

A recording is a file of JSON Lines. First line: manifest, options, names of the event fields. Then one line a call:
its input, what was wanted of the engine and what it answered, and the events (or the code of the refusal). Numbers of
input and answers have three decimals, float32; expected numbers hold to 1e-6. Tracks and features are flat, row-major.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from punctum.runtime import PostProcess
from punctum.runtime.bundle.config import Fusion
from punctum.runtime.errors import InputError
from punctum.runtime.events.event import Event
from punctum.runtime.live import LiveOptions
from punctum.runtime.session.jobs import LocateJob, StepJob
from punctum.runtime.session.session import Session
from punctum.runtime.session.snapshot import decode

from tests.native import binding, twin

FOLDER = Path(__file__).with_name("recordings")
FIELDS = ("id", "revision", "phase", "label", "score", "start", "end", "emitted_at", "ended", "dropped", "interrupted")
FIELDS += ("degraded",)
HEAD = Fusion(class_probability=1, attention=1, center=1, contrast=1)


def post(**changes: Any) -> PostProcess:
    levels = {"class_thresholds": (0.2, 0.4, 0.6, 0.8), "right_context_s": 0.5, "max_island_s": 3.0}
    return PostProcess(**(levels | changes))


def case(mode: int = binding.TRACKS, calls: Any = (), **changes: Any) -> twin.Case:
    made = twin.Case(post(), None, mode, mode == binding.WINDOWS, 0.1, 0.0, 0.0, 1, tuple(calls))
    return made._replace(**changes)


def push(count: int, jump: float | None = None, lost: Any = ()) -> tuple[Any, ...]:
    return ("push", count, jump, list(lost))


def cases() -> Iterator[tuple[str, twin.Case]]:
    windows, live = binding.WINDOWS, LiveOptions(max_delay_s=0.6)
    degraded = (push(40), ("degrade", True), push(40), ("degrade", False), push(30))
    chunks = tuple(push(n) for n in (0, 1, 40, 7, 33, 64))
    yield "tracks", case(calls=chunks)
    yield "tracks-live", case(calls=tuple(push(9) for _ in range(9)), live=live, seed=2)
    yield "tracks-head", case(calls=chunks, post=post(fusion=HEAD), seed=3)
    yield "tracks-head-live", case(calls=(push(60), push(5)), post=post(fusion=HEAD), live=live, seed=4)
    yield "windows", case(windows, chunks, seed=5)
    yield "windows-head-live", case(windows, (push(30), push(3), push(30)), post=post(fusion=HEAD), live=live, seed=6)
    yield "windows-not-kept", case(windows, chunks, post=post(fusion=HEAD), keep=False, seed=7)
    yield "calibrated", case(calls=degraded, live=live, seed=12, calibrated="reduced", post=post(fusion=HEAD))
    breaks = (push(30, 0.0), push(20, 0.4), push(5, -0.7), push(25, 30.0), ("gap", 12.0), push(20), push(9, -0.4))
    yield "breaks", case(calls=breaks, live=live, seed=8)
    lost = (push(30, None, [(3, 2), (12, 1)]), push(40, None, [(0, 4), (39, 1)]), push(30, 5.0, [(1, 1)]))
    yield "lost-frames", case(calls=lost, seed=9)
    yield "degraded", case(windows, degraded, post=post(fusion=HEAD), live=live, seed=10)
    restored = (push(23), ("snapshot",), push(30), ("snapshot",), ("snapshot",), push(30))
    yield "restored", case(windows, restored, post=post(fusion=HEAD), live=LiveOptions(max_delay_s=1.0), seed=11)
    yield "reset", case(calls=(push(40), ("reset", 50.0), push(40), ("flush",), ("reset", 0.0), push(20)), seed=12)
    yield "cut-islands", case(calls=(push(150),), post=post(max_island_s=0.7), seed=13)
    yield (
        "hard-actionness",
        case(calls=chunks, post=post(suppression="hard", actionness_thresholds=(0.3, 0.7), adapt=False), seed=14),
    )
    yield "unsuppressed-few", case(calls=chunks, post=post(suppression="none", max_proposals=3, min_score=0.1), seed=15)
    powers = Fusion(class_probability=0.7, contrast=2, base=0.5)
    yield "powers-defaults", case(calls=chunks, post=PostProcess(fusion=powers), stride_s=0.25, seed=16)
    yield "epoch-overhang", case(windows, chunks, live=live, overhang_s=0.25, start_s=1.7e9, stride_s=0.2, seed=17)
    halves = {"post": post(class_thresholds=(0.25, 0.5, 0.75), fusion=HEAD), "halves": True}
    yield "half-way", case(calls=chunks, seed=18, **halves)
    yield (
        "half-way-windows-live",
        case(windows, calls=(push(60), push(3), ("snapshot",), push(70)), live=live, seed=19, **halves),
    )
    again = (push(40), ("snapshot",), push(40), ("reset", 0.0), push(40), ("snapshot",), push(30))
    yield "run-id", case(calls=again, live=live, seed=20, run_id="2026-05-01_a.b")


def flat(values: Any) -> list[float]:
    return [round(float(x), 3) for x in np.ravel(values)]


class Recorder:
    """One case, run through the Python session; `lines` is its recording."""

    def __init__(self, made: twin.Case) -> None:
        self.case, self.tracks = made, made.mode == binding.TRACKS
        known, self.plan = twin.plans(made)
        self.engine, self.rng = twin.Engine(self.tracks, halves=made.halves), np.random.default_rng(made.seed)
        self.session = Session(
            self.plan, self.engine, stream="s", start_s=made.start_s, live=made.live, run_id=made.run_id
        )
        live = made.live or LiveOptions()
        options = {
            "stream": "s",
            "start_s": made.start_s,
            "mode": "tracks" if self.tracks else "windows",
            "keep_features": made.keep and not self.tracks,
            "max_delay_s": live.max_delay_s or 0.0,
            "report_score": -1.0 if live.report_score is None else live.report_score,
            "open_score": live.open_score,
            "tick_s": live.tick_s or 0.0,
        }
        if made.run_id:
            options["run_id"] = made.run_id
        self.lines: list[dict[str, Any]] = [
            {"recording": 1, "manifest": binding.manifest_of(known), "options": options, "fields": FIELDS}
        ]
        for call in (*made.calls, ("flush",)):
            self._call(*call)

    def _call(self, name: str, *arguments: Any) -> None:
        line: dict[str, Any] = {"call": name}
        session, stride = self.session, self.plan.stride_s
        try:
            if name in ("push", "gap"):
                count, jump, lost = arguments if name == "push" else (0, arguments[0], ())
                rows = np.round(twin.rows_of(self.rng, count, self.tracks, halves=self.case.halves), 3)
                at = None if jump is None else round(session.now_s + jump * stride, 6)
                line |= {"count": count, "rows": flat(rows), "at": at, "lost": [list(hole) for hole in lost]}
                line |= self._drive(session.push_steps(*session.check(rows, at), lost))
            elif name == "flush":
                line |= self._drive(session.flush_steps())
            elif name == "degrade":
                session.degraded = line["on"] = arguments[0]
            elif name == "reset":
                session.reset(start_s=arguments[0])
                line["start_s"] = arguments[0]
            elif name == "snapshot":
                self.session = Session.from_state(self.plan, self.engine, decode(session.snapshot(), self.plan))
        except InputError as error:
            line["refused"] = error.code
        self.lines.append(line)

    def _drive(self, steps: Any) -> dict[str, Any]:
        wants: list[dict[str, Any]] = []
        try:
            jobs = next(steps)
            while True:
                jobs = steps.send([self._answer(job, wants) for job in jobs])
        except StopIteration as stop:
            return {"wants": wants, "events": [_event(event) for event in stop.value]}

    def _answer(self, job: Any, wants: list[dict[str, Any]]) -> Any:
        if isinstance(job, StepJob):  # an engine without steps runs the whole window
            return self._answer(LocateJob(job.window, inner=True), wants), None
        want: dict[str, Any] = {"rows": len(job.features), "inner": bool(job.inner)}
        if isinstance(job, LocateJob):
            class_track, actionness = self.engine.locate(job.features)
            answer = np.round(np.concatenate([class_track, actionness[:, None]], axis=1), 3).astype(np.float32)
            if not self.tracks:
                wants.append({"want": "locate", **want, "tracks": flat(answer)})
            return answer
        segments, labels = [round(float(x), 5) for x in job.segments.ravel()], job.labels.tolist()
        head = [np.round(p, 3) for p in self.engine.score(job.features, job.tracks, job.segments, job.labels)]
        answers = dict(zip(("class_probability", "attention", "center"), map(flat, head), strict=True))
        wants.append({"want": "score", **want, "segments": segments, "labels": labels, **answers})
        return tuple(head)


def _event(event: Event) -> list[Any]:
    values = (getattr(event, name) for name in FIELDS)
    return [round(value, 8) if isinstance(value, float) else value for value in values]


def text_of(made: twin.Case) -> str:
    lines = (json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in Recorder(made).lines)
    return "".join(line + "\n" for line in lines)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.jsonl"):
        old.unlink()
    for name, made in cases():
        (FOLDER / f"{name}.jsonl").write_text(text_of(made), encoding="utf-8")
        print(f"{name:20} {(FOLDER / f'{name}.jsonl').stat().st_size / 1000:6.1f} kB")
