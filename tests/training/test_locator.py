from __future__ import annotations

import numpy as np
import pytest
import torch
from punctum.training.config import HiddenLayer, LocatorConfig, Normalisation
from punctum.training.models.locator import FeatureNormalizer, LocatorNet

CONFIGS = {
    "default": LocatorConfig(hidden=(HiddenLayer(units=16),)),
    "linear": LocatorConfig(hidden=(), linear_kernel=7),
    "causal": LocatorConfig(hidden=(HiddenLayer(kernel=5, units=8),), max_right=0, smooth=2),
    "two-ahead": LocatorConfig(hidden=(HiddenLayer(kernel=9, units=32), HiddenLayer(kernel=5, units=32)), max_right=2),
    "dilated": LocatorConfig(
        embed=8,
        hidden=tuple(HiddenLayer(kernel=3, units=8, dilation=d, residual=True) for d in (1, 2, 4)),
        members=2,
    ),
    "lacp": LocatorConfig(hidden=(HiddenLayer(kernel=3, units=8),), output="sigmoid", output_bias=False, smooth=0),
}


def build(name: str, dim: int = 6, classes: int = 3) -> LocatorNet:
    torch.manual_seed(0)
    return LocatorNet(CONFIGS[name], dim=dim, classes=classes).eval()


@pytest.mark.parametrize("name", CONFIGS)
def test_the_receptive_field_is_exactly_what_is_declared(name):
    net, at, length = build(name), 30, 61
    left, right = net.receptive_field
    x = torch.randn(length, 6, generator=torch.Generator().manual_seed(1)).requires_grad_()
    p, a = net(x)
    (p[at].sum() * 3 + p[at, 0] + a[at]).backward()
    touched = torch.nonzero(x.grad.abs().sum(1) > 0)[:, 0]
    assert int(touched.min()) == at - left
    assert int(touched.max()) == at + right


def test_causal_networks_do_not_look_ahead_and_a_budget_is_kept():
    assert build("causal").receptive_field == (4 + 4, 0)
    assert build("two-ahead").receptive_field[1] == 2
    assert build("default").receptive_field == (5, 5)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_window_with_its_context_gives_what_the_whole_video_gives(name):
    net = build(name)
    left, right = net.receptive_field
    x = torch.randn(80, 6, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        whole = net(x)
        part = net(x[30 - left : 45 + right])
    for a, b in zip(whole, part, strict=True):
        np.testing.assert_allclose(a[30:45], b[left : left + 15], atol=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("length", [1, 2, 7])
def test_tracks_are_probabilities_at_any_length(name, length):
    net = build(name)
    with torch.no_grad():
        p, a = net(torch.randn(length, 6))
    assert p.shape == (length, 3) and a.shape == (length,)
    assert float(p.min()) >= 0 and float(p.max()) <= 1 and float(a.min()) >= 0 and float(a.max()) <= 1
    if net.config.output == "softmax":
        np.testing.assert_allclose(p.sum(1), a, atol=1e-6)
    else:
        assert bool((p <= a[:, None] + 1e-6).all())


def test_training_windows_equal_the_whole_video():
    """The windows that training cuts out give the logits of the whole video, edges included."""
    net = build("dilated")
    x = torch.randn(20, 6)
    padded = torch.nn.functional.pad(x, (0, 0, net.left, net.right))
    with torch.no_grad():
        whole = net.whole(x).logits
        windows = torch.stack([padded[t : t + net.left + net.right + 4] for t in range(17)])
        cut = net.windows(windows).logits
    for t in range(17):
        np.testing.assert_allclose(cut[:, t], whole[:, 0, :, t : t + 4], atol=1e-5)


def test_normaliser_statistics_constant_dimension_and_clip():
    norm = FeatureNormalizer(Normalisation(clip=2.0), dim=3)
    x = torch.tensor([[0.0, 5.0, 1.0], [2.0, 5.0, 3.0]])
    norm.fit([x])
    np.testing.assert_allclose(norm(x), [[-1, 0, -1], [1, 0, 1]], atol=1e-6)
    assert float(norm(torch.tensor([[100.0, 5.0, 2.0]]))[0, 0]) == 2.0


def test_unit_length_makes_scale_irrelevant():
    norm = FeatureNormalizer(Normalisation(unit_length=True), dim=4)
    x = torch.randn(50, 4)
    norm.fit([x])
    np.testing.assert_allclose(norm(x), norm(3.0 * x), atol=1e-4)
    assert bool(torch.isfinite(norm(torch.zeros(1, 4))).all())
