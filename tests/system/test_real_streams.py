"""The streaming contract on real recordings, with the shipped code around a simple locator; and a short soak.

The locator here is made on the spot (class means of the clicked snippets), so no training is needed: what is tested is
that a stream says the same as `localize`, whatever the chunks, and that long streams stay flat and exact.
"""

from __future__ import annotations

import numpy as np
import psutil
import pytest
from punctum.runtime import Dataset, Localizer, PostProcess
from punctum.runtime.bundle.config import Fusion
from punctum.runtime.live import LiveOptions

pytestmark = pytest.mark.slow


class NearestMean:
    """Class track = softmax of similarities to class means over nine smoothed snippets. Receptive field 4 + 4."""

    requested = actual = "nearest-mean"
    field = 4

    def __init__(self, data: Dataset) -> None:
        rows, labels = [], []
        for video, points in data.points().items():
            if video in data.train:
                x = data.features(video).data
                at = np.clip([int(p.time_s / data.stride_s) for p in points], 0, len(x) - 1)
                rows.append(x[at])
                labels += [p.label for p in points]
        every = np.concatenate([data.features(v).data for v in data.train])
        self.mean, self.std = every.mean(0), every.std(0) + 1e-6
        x, labels = (np.concatenate(rows) - self.mean) / self.std, np.array(labels)
        self.centers = np.stack([x[labels == c].mean(0) for c in range(len(data.labels))]).astype(np.float32)

    def locate(self, features):
        x = np.clip((features - self.mean) / self.std, -5, 5)
        like = 2.0 * x @ self.centers.T / np.sqrt((self.centers**2).sum(1))
        padded = np.pad(like, ((self.field, self.field), (0, 0)))
        smooth = sum(padded[k : k + len(like)] for k in range(2 * self.field + 1)) / (2 * self.field + 1)
        smooth = np.concatenate([smooth, np.full((len(smooth), 1), 2.0)], axis=1)
        share = np.exp(smooth - smooth.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)
        return share[:, :-1].astype(np.float32), (1 - share[:, -1]).astype(np.float32)

    def score(self, features, tracks, segments, labels):
        """Reads features around the segment, as a real head does, so that its context has to be right."""
        total = np.concatenate([np.zeros(1), np.cumsum(np.abs(features).mean(1))])
        low = np.clip(np.floor(segments[:, 0] - 0.25 * (segments[:, 1] - segments[:, 0])), 0, len(features)).astype(int)
        high = np.clip(np.ceil(segments[:, 1] + 0.25 * (segments[:, 1] - segments[:, 0])), 0, len(features)).astype(int)
        center = 1 / (1 + np.exp(-(total[high] - total[low]) / np.maximum(high - low, 1)))
        one = np.ones(len(labels), np.float32)
        return np.ones((len(labels), len(self.centers)), np.float32), one, center.astype(np.float32)


def localizer(data: Dataset, **post) -> Localizer:
    settings = {"fusion": Fusion(center=1, contrast=1)} | post
    return Localizer.from_parts(
        NearestMean(data),
        labels=data.labels,
        dim=data.feature_dim,
        stride_s=data.stride_s,
        post=PostProcess(**settings),
        receptive_field=(NearestMean.field, NearestMean.field),
        bundle_id="nearest-mean",
    )


def finals(events):
    return [e for e in events if e.phase == "final"]


@pytest.mark.shared
@pytest.mark.parametrize(("name", "split"), [("shrec21", None), ("gtea", "split_1")])
@pytest.mark.parametrize("delay", [None, 1.0])
def test_real_recordings_give_the_same_events_in_any_chunks(shared_dir, name, split, delay):
    data = Dataset.open(shared_dir / "data" / name, split=split)
    one = localizer(data, max_island_s=8.0)
    live = None if delay is None else LiveOptions(max_delay_s=delay)
    rng, compared = np.random.default_rng(5), 0
    for video in data.test[: 6 if delay is None else 2]:
        x = data.features(video).data
        offline = one.localize(x, stream=video)
        sizes = {"one": [1] * len(x), "odd": rng.integers(0, 40, len(x)).tolist(), "late": [0, 0, 500, 1]}
        for chunks in sizes.values():
            session, events, at = one.session(stream=video, live=live), [], 0
            for size in chunks:
                events += session.push(x[at : at + size])
                at = min(at + size, len(x))
            events += session.push(x[at:]) + session.flush()
            got = finals(events)
            assert [(e.label, e.id) for e in got] == [(e.label, e.id) for e in offline] or delay is not None
            assert [e.label for e in got] == [e.label for e in offline]
            for a, b in zip(got, offline, strict=True):
                assert abs(a.start - b.start) < 1e-4
                assert abs(a.end - b.end) < 1e-4
                assert abs(a.score - b.score) < 1e-4
                assert delay is not None or a.emitted_at == pytest.approx(b.emitted_at, abs=1e-6)
            compared += len(got)
    assert compared > 100


@pytest.mark.slow
def test_a_long_stream_stays_flat_and_exact():
    """An hour of a repeated tape: memory flat, equal events in equal minutes."""
    from tests.helpers import fakes

    one = fakes.localizer()
    reel, loops = fakes.recording(11, 3000), 12  # five minutes of media, one hour
    session = one.session(stream="soak", live=LiveOptions(max_delay_s=1.0))
    process, memory, sets = psutil.Process(), [], []
    for k in range(loops):
        found = []
        for at in range(0, len(reel), 50):
            found += finals(session.push(reel[at : at + 50]))
        begin = 300.0 * k
        inner = [
            (e.label, e.start - begin, e.end - begin) for e in found if e.start - begin > 10 and e.end - begin < 280
        ]
        sets.append(sorted(inner))
        memory.append(process.memory_info().rss)
    assert session.now_s == pytest.approx(loops * 300.0, abs=1e-9)
    for later in sets[1:]:
        assert [e[0] for e in later] == [e[0] for e in sets[0]]
        assert np.abs(np.array([e[1:] for e in later]) - np.array([e[1:] for e in sets[0]])).max() < 1e-6
    half = np.array(memory[loops // 2 :]) / 2**20
    slope = np.polyfit(np.arange(len(half)), half, 1)[0]
    assert slope < 0.2, f"memory grows by {slope:.3f} MiB every five minutes of media"
    assert session.state_bytes < 200_000
