"""libpunctum against the Python session: random settings and calls, the same events, wants, counts and refusals."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from punctum.runtime.errors import EngineError
from punctum.runtime.live import LiveOptions

from tests.helpers.exhaustive import examples
from tests.native import binding, twin

MANY = int(os.environ.get("PUNCTUM_FUZZ_EXAMPLES") or examples(20, 40))  # raise it for a long run


@pytest.mark.slow
@settings(max_examples=MANY, suppress_health_check=list(HealthCheck))
@given(twin.CASES)
def test_random_sessions_say_the_same(library, case):
    twin.Pair(library, case).run()


@pytest.mark.slow
def test_long_sessions_say_the_same(library):
    """What hypothesis seldom makes: thousands of snippets, many islands, long blocks for the locator at once."""
    post = twin.PostProcess(fusion=twin.Fusion(center=1, contrast=1), right_context_s=0.5, max_island_s=3.0)
    said = 0
    for mode, live, first in ((binding.WINDOWS, None, 4500), (binding.TRACKS, LiveOptions(max_delay_s=0.6), 500)):
        calls = (("push", first, None, []), ("push", 30, 50.0, []), *[("push", 7, None, [])] * 30)
        case = twin.Case(post, live, mode, True, 0.1, 0.0, 0.0, 7, calls)
        said += len(twin.Pair(library, case).run())
    assert said > 1000


def test_final_events_of_the_two_modes_agree(library):
    """Tracks that the caller's locator made settle the same events as windows that the session asked for; near the end
    of the stream they may come in another order."""
    post = twin.PostProcess(right_context_s=0.5, max_island_s=3.0)
    case = twin.Case(post, None, binding.WINDOWS, True, 0.1, 0.0, 0.0, 3)
    pair = twin.Pair(library, case)
    features = twin.recording(pair.rng, 600)
    class_track, actionness = twin.Engine(False).locate(features)
    tracks = np.concatenate([class_track, actionness[:, None]], axis=1)
    other = binding.NativeSession(
        pair.native_plan, pair.plan, None, mode=binding.TRACKS, stream="s", keep_features=False
    )
    a = pair.native.push(features) + pair.native.flush()
    b = other.push(features, tracks=tracks) + other.flush()
    one, two = (sorted((e.id, e.label, e.phase, e.start, e.end, e.score) for e in events) for events in (a, b))
    assert len(one) > 30
    assert one == two


def test_engines_that_answer_wrongly_are_refused_with_the_same_codes(library):
    """NaN and values outside 0..1, in tracks that are pushed, located and scored; the right answer is then accepted."""
    post = twin.PostProcess(fusion=twin.Fusion(class_probability=1, attention=1, center=1, contrast=1))

    class Wrong(twin.Engine):
        bad, where = 0.5, "locate"

        def locate(self, features):
            track, actionness = super().locate(features)
            track = np.array(track)
            if self.where == "locate":
                track[-1, -1] = self.bad
            return track, actionness

        def score(self, *arguments):
            head = [np.array(part) for part in super().score(*arguments)]
            if self.where in ("0", "1", "2"):
                head[int(self.where)].flat[0] = self.bad
            return tuple(head)

    expected = {np.nan: "not-finite", np.inf: "not-finite", 1.5: "out-of-range", -0.01: "out-of-range"}
    for where in ("locate", "0", "1", "2"):
        for bad, code in expected.items():
            pair = twin.Pair(library, twin.Case(post, None, binding.WINDOWS, True, 0.1, 0.0, 0.0, 3))
            rows = twin.recording(pair.rng, 150)
            codes = []
            for session, engine in ((pair.python, Wrong(False)), (pair.native, Wrong(False))):
                session.backend, engine.where, engine.bad = engine, where, bad
                try:
                    session.push(rows)
                except (EngineError, binding.NativeError) as error:
                    codes.append(error.code)
            assert codes == [f"{'tracks' if where == 'locate' else 'scores'}-{code}"] * 2
            for session, native in ((pair.python, False), (pair.native, True)):
                session.backend.where = ""
                events = (session.serve() if native else session.push(rows)) + session.flush()
                codes.append(events)
            assert not binding.difference(codes[2], codes[3])


def test_a_snapshot_of_the_first_version_is_refused_by_name(library):
    pair = twin.Pair(library, twin.Case(twin.PostProcess(), None, binding.TRACKS, False, 0.1, 0.0, 0.0, 3))
    data = bytearray(pair.native.snapshot())
    at = data.index(b"\n") + 1
    data[at : at + 4] = (1).to_bytes(4, "little")
    value = 14695981039346656037
    for byte in data[:-8]:
        value = (value ^ byte) * 1099511628211 % 2**64
    data[-8:] = value.to_bytes(8, "little")
    with pytest.raises(binding.NativeError, match="version 1") as error:
        binding.NativeSession(pair.native_plan, pair.plan, None, frozen=bytes(data))
    assert error.value.code == "snapshot-version"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda c: c["classes"].pop(), "maps"),
        (lambda c: c["classes"][0]["raw"].append(2.0), "between 0 and 1"),
        (lambda c: c["classes"][0]["score"].reverse(), "rise"),
        (lambda c: c["classes"][1]["score"].pop(), "knots"),
        (lambda c: c["classes"][1].update(raw=[0.5], score=[0.5]), "knots"),
        (lambda c: c["classes"][2].pop("raw"), "missing"),
        (lambda c: c["classes"][2].update(min_score=1.5), "min_score"),
        (lambda c: c.update(reduced=[c["classes"][0]]), "maps"),
        (lambda c: c.update(classes={}), "list of maps"),
        (lambda c: c.pop("classes"), "missing"),
    ],
)
def test_a_calibration_that_is_wrong_is_refused(library, change, word):
    case = twin.Case(twin.PostProcess(), None, binding.TRACKS, False, 0.1, 0.0, 0.0, 3, calibrated="full")
    manifest = binding.manifest_of(twin.plans(case)[0])
    assert library.plan(manifest)
    change(manifest["calibration"])
    with pytest.raises(binding.NativeError, match=word) as error:
        library.plan(manifest)
    assert error.value.code == "bundle-manifest-invalid"
