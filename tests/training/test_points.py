from __future__ import annotations

import numpy as np
import pytest
import torch
from punctum.training.config import HiddenLayer, LocatorConfig, PointsObjective
from punctum.training.data.videos import TrainingSet
from punctum.training.models.locator import LocatorNet
from punctum.training.objectives.point_loss import label_loss, point_log_likelihood
from punctum.training.objectives.point_targets import even_targets, gaps_of
from punctum.training.objectives.points import PointsTask

from .conftest import CLASSES, DIM, make_sample


def task(samples, **options) -> PointsTask:
    torch.manual_seed(0)
    net = LocatorNet(LocatorConfig(hidden=(HiddenLayer(kernel=3, units=8),)), dim=DIM, classes=len(CLASSES))
    data = TrainingSet("t", tuple(CLASSES), 1.0, DIM, tuple(samples))
    return PointsTask(net, data, PointsObjective(batch=8, **options), epochs=3, seed=0)


def test_background_lies_in_the_middle_between_neighboring_clicks():
    sample = make_sample([10.5, 20.5, 21.0], [0, 1, 1])
    np.testing.assert_allclose(gaps_of(sample, share=0.4, edges=False), [[13.0, 17.0]])  # too close: no gap
    with_edges = gaps_of(sample, share=0.4, edges=True)
    np.testing.assert_allclose(with_edges[0], [-0.5, -0.5 + 10.5 * 0.4])
    np.testing.assert_allclose(with_edges[-1], [39.5 - (39.5 - 20.5) * 0.4, 39.5])


def test_single_clicks_get_background_before_and_after():
    """With one click a video there is no gap at all; without background the locator would say "always"."""
    made = task([make_sample([12.5], [1], name="a"), make_sample([30.5], [0], name="b")])
    assert made.describe["edge_background"] is True and len(made.gap) == 4
    assert task([make_sample([12.5, 20.5], [1, 1])]).describe["edge_background"] is False


@pytest.mark.parametrize("sampling", ["sites", "crops"])
def test_steps_are_a_function_of_their_number(sampling):
    made = task([make_sample([5.5, 20.5, 33.5], [0, 1, 2])], sampling=sampling, window=4)
    losses = []
    for _ in range(2):
        torch.manual_seed(1)
        loss, terms = made.step_loss(1, np.random.default_rng(7))
        losses.append(float(loss.detach()))
        assert set(terms) == {"click", "smooth"}
    assert losses[0] == losses[1] and np.isfinite(losses[0])


def test_background_is_never_drawn_on_a_click():
    times = [float(t) + 0.5 for t in range(2, 30, 2)]
    made = task([make_sample(times, [0] * len(times))])
    for seed in range(30):
        _, at = made._draw_background(20, np.random.default_rng(seed))
        assert not set(at.tolist()) & {int(t) for t in times}


@pytest.mark.parametrize("sampling", ["sites", "crops"])
@pytest.mark.parametrize("snippets", [1, 2, 5])
def test_tiny_videos_and_multi_label_snippets_train(sampling, snippets):
    made = task(
        [make_sample([0.5, 0.6], [0, 2], snippets=snippets), make_sample([], [], snippets=3, name="w")],
        sampling=sampling,
        window=8,
    )
    loss, _ = made.step_loss(0, np.random.default_rng(0))
    loss.backward()
    assert np.isfinite(float(loss.detach()))
    assert made.site_target.tolist() == [[1, 0, 1, 0]]


def test_crop_targets_share_a_gap_and_keep_the_clicks():
    made = task([make_sample([10.5, 20.5], [0, 1])], sampling="crops", window=8)
    (target,) = even_targets(made.samples, made.objective, 3)
    assert target[10].tolist() == [1, 0, 0, 0] and target[20].tolist() == [0, 1, 0, 0]
    assert np.flatnonzero(target[:, 3]).tolist() == [13, 14, 15, 16, 17]
    assert target[:, 3].sum() == pytest.approx(1.0)


def test_rare_classes_weigh_more_and_background_as_asked():
    made = task(
        [make_sample([2.5, 10.5, 18.5, 30.5, 36.5], [0, 0, 0, 1, 2])],
        sampling="crops",
        window=8,
        balance=0.5,
        background_weight=0.1,
    )
    (target,) = even_targets(made.samples, made.objective, 3)
    common, scale = 3**-0.5, (3 * 3**-0.5 + 2) / 5
    assert target[10, 0] == pytest.approx(common) and target[30, 1] == 1.0
    assert np.unique(target[:, 3]) == pytest.approx([0.0, 0.1 * scale])


def test_label_loss_shares_probability_or_asks_for_all():
    z = torch.tensor([[[2.0, 2.0, -9.0]]])
    y = torch.tensor([[1.0, 1.0, 0.0]])
    assert float(label_loss(z, y, "softmax", 0.0)) == pytest.approx(np.log(2), abs=1e-4)
    both = label_loss(torch.tensor([[[9.0, 9.0, -9.0]]]), y, "sigmoid", 0.0)
    assert float(both) < 0.001 < float(label_loss(torch.tensor([[[9.0, -9.0, -9.0]]]), y, "sigmoid", 0.0))


def test_the_criterion_needs_points_only_and_prefers_the_better_model():
    samples = [make_sample([5.5, 25.5], [0, 1])]
    net = task(samples).module
    before = point_log_likelihood(net, samples, share=0.4)
    made = task(samples)
    optimizer = torch.optim.Adam(made.module.parameters(), lr=1e-2)
    for step in range(40):
        loss, _ = made.step_loss(step % made.steps, np.random.default_rng(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert point_log_likelihood(made.module, samples, share=0.4) > before + 0.5


def test_background_before_the_first_click_and_in_videos_without_any():
    clicked = make_sample([10.5, 30.5], [0, 1], snippets=50)
    empty = make_sample([], [], snippets=6, name="w")
    before = gaps_of(clicked, share=0.4, edges=True, after=False)
    np.testing.assert_allclose(before, [[-0.5, 3.7], [16.0, 24.0]])
    np.testing.assert_allclose(gaps_of(empty, share=0.4, edges=True), [[-0.5, 5.5]])
    assert len(gaps_of(empty, share=0.4, edges=False)) == 0
    objective = PointsObjective(edge_background="before", background_weight=0.07)
    first, second = even_targets([clicked, empty], objective, 3)
    assert (second[:, 3] > 0).all() and (second[:, :3] == 0).all()
    assert np.flatnonzero(first[:, 3]).tolist() == [*range(5), *range(16, 25)]
