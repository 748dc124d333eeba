"""One random session, driven through Python and through libpunctum, and what they said side by side."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
from hypothesis import strategies as st
from punctum.runtime import PostProcess
from punctum.runtime.bundle.calibration import Calibration, ScoreMap
from punctum.runtime.bundle.config import Fusion
from punctum.runtime.errors import InputError
from punctum.runtime.events.event import Event
from punctum.runtime.live import LiveOptions
from punctum.runtime.session.plan import Plan
from punctum.runtime.session.session import Session
from punctum.runtime.session.snapshot import decode

from tests.native import binding

LABELS, DIM, LEFT, RIGHT = ("a", "b", 'c "ä"'), 4, 3, 2


class Engine:
    """A locator that reaches 3 back and 2 ahead, and a scorer that reads its window's tracks. Keeps what it saw."""

    requested = actual = "twin"

    def __init__(self, tracks: bool, *, halves: bool = False) -> None:
        self.tracks = tracks  # the features are tracks already
        self.halves = halves
        self.seen: list[tuple[Any, ...]] = []

    def locate(self, features):
        if self.tracks:
            return features[:, :-1], features[:, -1]
        self.seen.append(("locate", features.tobytes()))
        padded = np.pad(features.astype(np.float64), ((LEFT, RIGHT), (0, 0)))
        smooth = sum(w * padded[k : k + len(features)] for k, w in enumerate([0.1, 0.15, 0.2, 0.25, 0.2, 0.1]))
        track = 1 / (1 + np.exp(-4 * (smooth[:, :3] - 0.5)))
        track = coarse(track) if self.halves else track
        return track.astype(np.float32), track.max(axis=1).astype(np.float32)

    def score(self, features, tracks, segments, labels):
        self.seen.append(("score", b"" if self.tracks else features.tobytes(), tracks.tobytes(), segments.tobytes()))
        middle = np.clip(np.round(segments.mean(axis=1)), 0, len(tracks) - 1).astype(int)
        center = np.exp(-0.02 * (segments[:, 1] - segments[:, 0])) * (0.5 + tracks[middle, labels] / 2)
        probability = np.tile(np.linspace(0.5, 1.0, len(LABELS)), (len(labels), 1))
        return probability.astype(np.float32), tracks[middle, -1].astype(np.float32), center.astype(np.float32)


class Case(NamedTuple):
    """Settings of a session and the calls on it: (name, argument...)."""

    post: PostProcess
    live: LiveOptions | None
    mode: int
    keep: bool
    stride_s: float
    overhang_s: float
    start_s: float
    seed: int
    calls: tuple[tuple[Any, ...], ...] = ()
    run_id: str = ""
    calibrated: Literal["", "full", "reduced"] = ""  # maps of full scoring, and of reduced scoring, too
    halves: bool = False  # tracks in steps of 1/2: they often cross 0.25 exactly half-way between snippets


def recording(rng: np.random.Generator, length: int) -> np.ndarray:
    """Noise with plateaus: islands of every length, some longer than the longest allowed."""
    features = rng.normal(0, 0.3, (length, DIM))
    clock = int(rng.integers(0, 10))
    while clock < length:
        size = int(rng.choice([1, 3, 8, 20, 70]))
        features[clock : clock + size, rng.integers(3)] += rng.uniform(0.5, 1.5)
        clock += size + int(rng.integers(0, 15))
    return features.astype(np.float32)


def coarse(track: np.ndarray) -> np.ndarray:
    return np.round(2 * track) / 2


def rows_of(rng: np.random.Generator, count: int, tracks: bool, *, halves: bool = False) -> np.ndarray:
    """The next features, or tracks with the actionness behind them, float32 [count, 4]."""
    rows = recording(rng, count)
    if tracks:
        rows = 1 / (1 + np.exp(-4 * (rows - 0.5)))
        rows = coarse(rows) if halves else rows
        rows[:, -1] = rows[:, :-1].max(axis=1) if count else 0
    return rows.astype(np.float32)


def calibration(case: Case) -> Calibration | None:
    """Random maps that rise strictly."""
    if not case.calibrated:
        return None
    rng = np.random.default_rng([case.seed, 1])

    def maps() -> list[ScoreMap]:
        knots = rng.integers(2, 20, len(LABELS))
        return [ScoreMap(raw=np.unique(rng.random(k)), score=np.unique(rng.random(k))) for k in knots]

    return Calibration(classes=maps(), reduced=maps() if case.calibrated == "reduced" else ())


def plans(case: Case) -> tuple[Plan, Plan]:
    """The plan that both know, and the one that the Python twin runs: in tracks mode the locator is behind it."""
    plan = Plan(
        LABELS,
        DIM,
        case.stride_s,
        LEFT,
        RIGHT,
        case.post,
        "twin-1",
        overhang_s=case.overhang_s,
        calibration=calibration(case),
    )
    if case.mode == binding.WINDOWS:
        return plan, plan
    return plan, replace(plan, left=0, right=0, overhang_s=plan.overhang_s + RIGHT * plan.stride_s)


class Pair:
    """The two sessions of a case."""

    def __init__(self, library, case: Case) -> None:
        self.case, self.library = case, library
        plan, self.plan = plans(case)
        self.native_plan = library.plan(binding.manifest_of(plan))
        tracks = case.mode == binding.TRACKS
        self.engines = Engine(tracks, halves=case.halves), Engine(tracks, halves=case.halves)
        self.python = Session(
            self.plan, self.engines[0], stream="s", start_s=case.start_s, live=case.live, run_id=case.run_id
        )
        self.native = binding.NativeSession(
            self.native_plan,
            self.plan,
            self.engines[1],
            mode=case.mode,
            stream="s",
            start_s=case.start_s,
            live=case.live,
            keep_features=case.keep and not tracks,
            run_id=case.run_id,
        )
        self.rng = np.random.default_rng(case.seed)
        self.closed = False

    def call(self, name: str, *arguments: Any) -> tuple[list[Event], list[Event]]:
        """What both say to one call; ([], []) where both refuse it with the same code."""
        said, codes = [], []
        for one in self._calls(name, *arguments):
            try:
                said.append(one())
                codes.append("")
            except (InputError, binding.NativeError) as error:
                said.append([])
                codes.append(error.code)
        if codes[0] != codes[1]:
            raise AssertionError(f"{name}: Python says {codes[0]!r}, native {codes[1]!r}")
        return said[0], said[1]

    def _calls(self, name: str, *arguments: Any):
        python, native = self.python, self.native
        if name == "push":
            count, jump, lost = arguments
            rows, at = (
                rows_of(self.rng, count, self.case.mode == binding.TRACKS, halves=self.case.halves),
                None if jump is None else python.now_s + jump * self.plan.stride_s,
            )
            lost = [(row, frames) for row, frames in lost if row < count]
            yield lambda: python.push(rows, at=at, lost=lost)
            if self.case.mode == binding.TRACKS:
                yield lambda: native.push(rows, tracks=rows, at=at, lost=lost)
            else:
                yield lambda: native.push(rows, at=at, lost=lost)
        elif name == "gap":
            at = python.now_s + arguments[0] * self.plan.stride_s
            yield lambda: python.gap(at)
            yield lambda: native.gap(at)
        elif name == "degrade":
            python.degraded = arguments[0]
            yield list
            yield lambda: native.degrade(arguments[0]) or []
        elif name == "reset":
            yield lambda: python.reset(start_s=arguments[0]) or []
            yield lambda: native.reset(start_s=arguments[0]) or []
        elif name == "snapshot":
            yield self._thaw_python
            yield self._thaw_native
        elif name == "flush":
            yield python.flush
            yield native.flush
        else:
            raise ValueError(name)

    def _thaw_python(self) -> list[Event]:
        self.python = Session.from_state(self.plan, self.engines[0], decode(self.python.snapshot(), self.plan))
        return []

    def _thaw_native(self) -> list[Event]:
        old = self.native
        frozen = old.snapshot()
        self.native = binding.NativeSession(
            self.native_plan, self.plan, self.engines[1], mode=old.mode, keep_features=old.keep, frozen=frozen
        )
        self.native.rows = old.rows
        if self.native.snapshot() != frozen:
            raise AssertionError("a restored session gives another snapshot")
        return []

    def run(self) -> list[Event]:
        """All calls of the case; raises AssertionError where the two differ. Returns what they said."""
        every: list[Event] = []
        for call in (*self.case.calls, ("flush",), ("flush",)):
            a, b = self.call(*call)
            if wrong := binding.difference(a, b):
                raise AssertionError(f"{call}: {wrong}")
            if self.engines[0].seen != self.engines[1].seen:
                raise AssertionError(f"{call}: the engines were asked for different things")
            self.engines[0].seen.clear(), self.engines[1].seen.clear()
            info, stats = self.native.describe(), self.python.stats
            counts = (info.pushed, info.islands, info.finals, info.gaps, info.dropped)
            if counts != (stats.snippets, stats.islands, stats.events, stats.gaps, stats.dropped):
                raise AssertionError(f"{call}: counts {counts} against {stats}")
            if abs(info.now_s - self.python.now_s) > 1e-9 or abs(info.look_ahead_s - self.python.look_ahead_s) > 1e-9:
                raise AssertionError(f"{call}: clocks differ")
            every += a
        return every


POSTS = st.builds(
    PostProcess,
    class_thresholds=st.sampled_from(
        [(0.25, 0.5, 0.75), (0.2, 0.4, 0.6, 0.8), (0.05, 0.5), (0.3,), tuple(k / 20 for k in range(1, 19))]
    ),
    actionness_thresholds=st.sampled_from([(), (0.5,), (0.3, 0.6)]),
    contrast_margin=st.sampled_from([0.0, 0.25, 1.0]),
    right_context_s=st.sampled_from([0.0, 0.5, 2.0]),
    max_island_s=st.sampled_from([0.3, 3.0, 20.0]),
    fusion=st.sampled_from(
        [
            Fusion(),
            Fusion(class_probability=1, attention=1, center=1, contrast=0),
            Fusion(center=1, contrast=1, base=0.5),
            Fusion(class_probability=0.7, contrast=2, base=1),
            Fusion(contrast=0),
        ]
    ),
    adapt=st.booleans(),
    adapt_iou=st.sampled_from([0.1, 0.4]),
    suppression=st.sampled_from(["soft", "soft", "hard", "none"]),
    sigma=st.sampled_from([0.3, 0.9]),
    nms_iou=st.sampled_from([0.3, 0.7]),
    min_score=st.sampled_from([0.0, 0.001, 0.2]),
    max_proposals=st.sampled_from([500, 500, 7, 1]),
)
JUMPS = st.sampled_from([None, None, None, None, 0.0, 0.3, -0.4, -0.6, 0.6, 1.0, 40.0])
LOSSES = st.lists(st.tuples(st.integers(0, 59), st.integers(0, 9)), max_size=2)
CALLS = st.one_of(
    st.tuples(
        st.just("push"),
        st.integers(0, 60),
        JUMPS,
        st.lists(st.tuples(st.integers(0, 59), st.integers(0, 9)), max_size=2),
    ),
    st.tuples(st.just("push"), st.integers(0, 12), st.none(), st.just([])),
    st.tuples(st.just("push"), st.integers(100, 300), st.none(), st.just([])),
    st.tuples(st.just("gap"), st.sampled_from([0.2, 3.0, 1000.25, 1e12, -1e12])),
    st.tuples(st.just("snapshot")),
    st.tuples(st.just("degrade"), st.booleans()),
    st.tuples(st.just("reset"), st.sampled_from([0.0, -7.25])),
)
LIVE = st.one_of(
    st.none(),
    st.builds(LiveOptions, max_delay_s=st.sampled_from([0.1, 0.4, 1.0, 2.5])),
    st.builds(
        LiveOptions,
        max_delay_s=st.just(1.5),
        report_score=st.sampled_from([0.0, 0.3]),
        open_score=st.sampled_from([0.0, 0.5]),
        tick_s=st.sampled_from([0.05, 0.7, 1.5]),
    ),
)
CASES = st.builds(
    Case,
    post=POSTS,
    live=LIVE,
    mode=st.sampled_from([binding.WINDOWS, binding.TRACKS]),
    keep=st.booleans(),
    stride_s=st.sampled_from([0.1, 0.04, 1 / 3, 2.0]),
    overhang_s=st.sampled_from([0.0, 0.25]),
    start_s=st.sampled_from([0.0, 12.5, -3.0, 1.7e9]),
    seed=st.integers(0, 2**32 - 1),
    calls=st.lists(CALLS, max_size=14).map(tuple),
    run_id=st.sampled_from(["", "a-1"]),
    calibrated=st.sampled_from(["", "full", "reduced"]),
    halves=st.booleans(),
)
