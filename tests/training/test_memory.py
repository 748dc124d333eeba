"""Training memory follows the features, not the number of candidates that are pooled from them."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from punctum.training.config import CenterConfig, Normalisation
from punctum.training.models.center import CenterHead, build_head
from punctum.training.models.locator import FeatureNormalizer
from punctum.training.objectives import pooled as module
from punctum.training.objectives.pooled import PooledSegments

SNIPPETS, DIM, CLICKS = 4000, 512, 300
_TRAIN = """
import resource, sys
from punctum import kernels
from punctum.runtime.cli import invoke
import torch, punctum.training
kernels.warm_up()  # compiling them takes several hundred MB, once
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
code = invoke(["train", sys.argv[1], "--out", sys.argv[2], "--epochs", "1", "--threads", "1", "--quiet"])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
sys.exit(code)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in kilobytes on Linux only")
def test_many_clicks_in_a_long_video_do_not_multiply_the_features(tmp_path):
    # 300 clicks give 18,000 candidates: 440 MB pooled, and 3 GB while that was computed in one go.
    rng = np.random.default_rng(0)
    folder = tmp_path / "data"
    (folder / "features").mkdir(parents=True)
    np.save(folder / "features" / "v.npy", rng.normal(size=(SNIPPETS, DIM)).astype(np.float32))
    facts = {"name": "long", "classes": ["a", "b"], "fps": 5, "snippet_frames": 1, "feature_dim": DIM}
    (folder / "dataset.json").write_text(json.dumps(facts))
    (folder / "train.txt").write_text("v\n")
    clicks = np.sort(rng.choice(np.arange(5, SNIPPETS - 5), CLICKS, replace=False))
    with (folder / "points.csv").open("w", newline="") as stream:
        rows = [["ab"[i % 2], "v", int(at)] for i, at in enumerate(clicks)]
        csv.writer(stream).writerows([["class", "video_id", "point"], *rows])
    command = [sys.executable, "-c", _TRAIN, str(folder), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 1200  # MB on top of what torch and the compiled kernels take


def _videos(seed: int = 0) -> tuple[list, list, list, list]:
    rng = np.random.default_rng(seed)
    features, tracks, segments, labels = [], [], [], []
    for length, count in ((30, 7), (1, 3), (12, 0), (55, 9)):
        features.append(rng.normal(size=(length, 6)).astype(np.float32))
        tracks.append(rng.random((length, 4)).astype(np.float32))
        start = rng.uniform(-0.5, length - 0.5, count)
        segments.append(np.stack([start, start + rng.uniform(0, 20, count)], axis=1))
        labels.append(rng.integers(0, 3, count))
    return features, tracks, segments, labels


def _head(kind: str = "center", accumulate: str = "float64") -> CenterHead:
    config = CenterConfig(kind=kind, normalisation=Normalisation(unit_length=True), accumulate=accumulate)
    torch.manual_seed(0)
    head = build_head(config, dim=6, classes=3, max_context=4.0)
    if isinstance(head, CenterHead):
        head.fit([torch.from_numpy(x) for x in _videos()[0]], torch.rand(9))
    return head.eval()


@pytest.mark.parametrize("kind", ["center", "published"])
@pytest.mark.parametrize("accumulate", ["float64", "float32"])
@pytest.mark.parametrize(("keep", "part"), [(1 << 28, 1 << 24), (0, 1 << 24), (0, 1), (1 << 28, 1)])
def test_pooled_candidates_are_those_that_the_head_pools_video_by_video(monkeypatch, kind, accumulate, keep, part):
    monkeypatch.setattr(module, "KEEP_BYTES", keep)
    monkeypatch.setattr(module, "PART_BYTES", part)
    head, given = _head(kind, accumulate), _videos()
    if not keep:  # so many candidates that the integrals are the smaller of the two
        given[2][3] = np.tile(given[2][3], (40, 1))
        given[3][3] = np.tile(given[3][3], 40)
    pooled = PooledSegments(head, *given)
    assert (pooled._pooled is None) == (keep == 0)
    with torch.no_grad():
        expected = [
            head.pool(*(torch.from_numpy(x) for x in (f, t, s.astype(np.float32), c)))
            for f, t, s, c in zip(*given, strict=True)
        ]
    order = np.random.default_rng(1).permutation(len(pooled))
    mixed = pooled.rows(torch.from_numpy(order))
    whole = pooled.parts(0, len(pooled))
    for name in mixed._fields:
        right = torch.cat([getattr(p, name) for p in expected])
        tolerance = 1e-6 if accumulate == "float64" else 1e-4
        assert torch.allclose(getattr(mixed, name), right[order], atol=tolerance, rtol=0)
        assert torch.allclose(torch.cat([getattr(p, name) for p in whole]), right, atol=tolerance, rtol=0)


def test_no_candidates_at_all():
    features, tracks, segments, labels = _videos()
    pooled = PooledSegments(_head(), features[2:3], tracks[2:3], segments[2:3], labels[2:3])
    assert len(pooled) == 0 and pooled.parts(0, 0) == []


def test_statistics_in_parts_are_those_of_all_rows(monkeypatch):
    from punctum.training.models import locator

    monkeypatch.setattr(locator, "_BLOCK", 7)
    rng = np.random.default_rng(3)
    videos = [rng.normal(5, 2, (n, 3)).astype(np.float32) for n in (1, 10, 4)]
    norm = FeatureNormalizer(Normalisation(), dim=3)
    norm.fit([torch.from_numpy(x) for x in videos])
    rows = np.concatenate(videos).astype(np.float64)
    assert np.allclose(norm.mean, rows.mean(0)) and np.allclose(norm.deviation, rows.std(0))
    assert torch.equal(norm.normalized(videos[1]), norm(torch.from_numpy(videos[1])))


def test_the_fingerprint_of_large_values_does_not_overflow(tmp_path: Path):
    from punctum.training.data.labels import locate_clicks
    from punctum.training.data.videos import Sample, TrainingSet
    from punctum.training.engine.provenance import feature_statistics

    clicks = locate_clicks([1.0], [0], snippets=4, stride_s=1.0, start_s=0.0, video="v")
    rows = np.full((4, 2), 1e25, np.float32)
    rows[0] = -1e25
    mean, std, _ = feature_statistics(TrainingSet("x", ("a",), 1.0, 2, (Sample("v", rows, 0.0, clicks),)))
    assert mean == pytest.approx(5e24) and std == pytest.approx(rows.astype(np.float64).std())
