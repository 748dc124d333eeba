"""libpunctum against the Python session: random settings and calls, the same events, wants, counts and refusals."""

from __future__ import annotations

import os

import binding
import numpy as np
import twin
from hypothesis import HealthCheck, given, settings
from punctum.runtime.live import LiveOptions

MANY = int(os.environ.get("PUNCTUM_FUZZ_EXAMPLES", "40"))  # raise it for a long run


@settings(max_examples=MANY, suppress_health_check=list(HealthCheck))
@given(twin.CASES)
def test_random_sessions_say_the_same(library, case):
    twin.Pair(library, case).run()


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
