from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum import kernels
from punctum.training.config import CenterConfig, HiddenLayer, LocatorConfig, QualityObjective
from punctum.training.data.labels import Clicks, locate_clicks
from punctum.training.data.proposals import VideoProposals
from punctum.training.data.pseudo import FLOOR, align_clicks, best_offset, sample_segments
from punctum.training.models.center import CenterHead
from punctum.training.models.ensemble import LocatorEnsemble, nets_of, set_trained
from punctum.training.models.locator import LocatorNet
from punctum.training.objectives.center_task import CenterVideo
from punctum.training.objectives.quality_task import QualityTask

from .conftest import CLASSES, DIM, make_sample


def clicks_at(snippets: list[int], labels: list[int], length: int) -> Clicks:
    return locate_clicks([t + 0.5 for t in snippets], labels, snippets=length, stride_s=1.0, start_s=0.0, video="v")


def likelihood(tracks: np.ndarray, segments: np.ndarray, labels: list[int]) -> float:
    track = np.log(np.maximum(np.concatenate([tracks[:, :-1], 1 - tracks[:, -1:]], axis=1), FLOOR).astype(float))
    state = np.full(len(tracks), track.shape[1] - 1)
    for (a, b), c in zip(segments, labels, strict=True):
        state[int(a + 0.5) : int(b + 0.5)] = c
    return float(track[np.arange(len(tracks)), state].sum())


def best_by_trying(tracks: np.ndarray, at: list[int], labels: list[int]) -> float:
    length, best = len(tracks), -np.inf
    ends = [range(t, (at[i + 1] if i + 1 < len(at) else length)) for i, t in enumerate(at)]
    starts = [range((at[i - 1] + 1 if i else 0), t + 1) for i, t in enumerate(at)]
    for begin in itertools.product(*starts):
        for end in itertools.product(*ends):
            gaps = [begin[i + 1] - end[i] - 1 for i in range(len(at) - 1)]
            least = [int(labels[i] == labels[i + 1] and at[i + 1] - at[i] > 1) for i in range(len(at) - 1)]
            if all(g >= m for g, m in zip(gaps, least, strict=True)):
                segments = np.array([[a - 0.5, b + 0.5] for a, b in zip(begin, end, strict=True)])
                best = max(best, likelihood(tracks, segments, labels))
    return best


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 100_000), count=st.integers(1, 3), length=st.integers(4, 10))
def test_alignment_is_the_most_probable_one(seed, count, length):
    rng = np.random.default_rng(seed)
    tracks = rng.dirichlet(np.ones(3), length).astype(np.float32)
    tracks = np.concatenate([tracks[:, :2], 1 - tracks[:, 2:]], axis=1)
    at = sorted(rng.choice(length, count, replace=False).tolist())
    labels = rng.integers(0, 2, count).tolist()
    found = align_clicks(tracks, clicks_at(at, labels, length))
    assert all(a < t < b for (a, b), t in zip(found, at, strict=True))
    assert likelihood(tracks, found, labels) == pytest.approx(best_by_trying(tracks, at, labels), abs=1e-5)


def test_clicks_in_one_snippet_share_a_segment_and_none_is_none():
    tracks = np.full((8, 3), 0.3, np.float32)
    found = align_clicks(tracks, locate_clicks([2.2, 2.7], [0, 1], snippets=8, stride_s=1.0, start_s=0.0, video="v"))
    assert found[0].tolist() == found[1].tolist()
    assert align_clicks(tracks, clicks_at([], [], 8)).shape == (0, 2)


def recorded(rng, level: float, *, actions: int = 6, click_deviation: float = 0.2):
    """Tracks whose class probability at the edge of an action is `level`, with clicks and true segments."""
    at, segments, positions, length = 10, [], [], 40 * actions
    track = np.full(length, -6.0)
    for _ in range(actions):
        size = int(rng.integers(8, 20))
        middle = at + size / 2
        t = np.arange(length)
        # Log odds fall from the middle to the edge, where they are those of `level`, and on outside.
        odds = np.log(level / (1 - level)) + 4.0 * (1 - np.abs(t + 0.5 - middle) / (size / 2))
        track = np.maximum(track, odds)
        segments.append((at - 0.5, at + size - 0.5))
        positions.append(at - 0.5 + size * float(np.clip(rng.normal(0.5, click_deviation), 0.05, 0.95)))
        at += size + int(rng.integers(6, 18))
    p = (1 / (1 + np.exp(-track))).astype(np.float32)
    clicks = locate_clicks(
        [x + 0.5 for x in positions], [0] * actions, snippets=length, stride_s=1.0, start_s=0.0, video="v"
    )
    return np.stack([p, p], 1), clicks, np.array(segments)


@pytest.mark.parametrize("level", [0.5, 0.27, 0.12])
def test_the_offset_corrects_the_level_at_the_edges(level):
    rng = np.random.default_rng(3)
    videos = [recorded(rng, level) for _ in range(12)]
    offset = best_offset([(tracks, clicks) for tracks, clicks, _ in videos])
    assert offset == pytest.approx(np.log(1 / level - 1), abs=1.01)

    def overlap(offset):
        found = np.concatenate([align_clicks(tracks, clicks, offset=offset) for tracks, clicks, _ in videos])
        return float(np.mean(np.diag(kernels.segment_iou(found, np.concatenate([true for *_, true in videos])))))

    assert overlap(offset) > 0.8
    assert level == 0.5 or overlap(offset) > overlap(0.0) + 0.05


def test_without_clicks_there_is_no_offset():
    assert best_offset([]) == 0.0
    assert best_offset([(np.full((8, 3), 0.3, np.float32), clicks_at([], [], 8))]) == 0.0


def test_candidates_stay_in_the_video_and_surround_the_segments():
    rng = np.random.default_rng(0)
    found = sample_segments(np.array([[10.0, 20.0]]), 30, around=200, elsewhere=10, rng=rng)
    assert found.min() >= -0.5 and found.max() <= 29.5 and bool((found[:, 1] > found[:, 0]).all())
    assert abs(found[:150].mean() - 15.0) < 1.0


def test_the_head_learns_overlap():
    sample = make_sample([20.5], [1], snippets=40, seed=3)
    tracks = np.zeros((40, len(CLASSES) + 1), np.float32)
    tracks[15:26, 1] = tracks[15:26, -1] = 0.95
    sample.features[15:26] += 2.0
    none = VideoProposals(np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros(0))
    torch.manual_seed(0)
    config = CenterConfig(use_tracks=False, embed=8, hidden=32, members=2, input_dropout=0.0, dropout=0.0)
    head = CenterHead(config, dim=DIM, classes=len(CLASSES), max_context=8.0)
    task = QualityTask(head, [CenterVideo(sample, tracks, none)], [], QualityObjective(), epochs=1, seed=0)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    for step in range(80):
        loss, _ = task.step_loss(step, np.random.default_rng(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    head.eval()
    segments = torch.tensor([[14.5, 25.5], [17.5, 22.5], [5.0, 35.0], [30.0, 36.0]])
    with torch.no_grad():
        probability, attention, center = head(
            torch.from_numpy(sample.features), torch.from_numpy(tracks), segments, torch.ones(4, dtype=torch.int64)
        )
    assert probability[:, 1].argmax() == 0 and center.argmax() == 0
    assert float(probability[0, 1]) > 0.7 > 0.3 > float(probability[3, 1])
    np.testing.assert_allclose(attention, 1.0, atol=1e-6)


def test_an_ensemble_averages_what_is_trained_and_declares_the_widest_field():
    torch.manual_seed(0)
    nets = [
        LocatorNet(LocatorConfig(hidden=(HiddenLayer(kernel=k, units=4),)), dim=4, classes=2).eval() for k in (3, 9)
    ]
    both = LocatorEnsemble(nets)
    assert both.receptive_field == (5, 5) and nets_of(both) == nets
    x = torch.randn(12, 4)
    with torch.no_grad():
        set_trained(both, 1)
        np.testing.assert_allclose(both(x)[0], nets[0](x)[0])
        set_trained(both, 2)
        np.testing.assert_allclose(both(x)[1], (nets[0](x)[1] + nets[1](x)[1]) / 2, atol=1e-6)
