"""The graphs written for engines say what the modules say: every kind of network, lengths, counts, both engines."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="export needs torch")
pytest.importorskip("onnxscript", reason="export needs onnxscript")
pytest.importorskip("onnxruntime", reason="graphs are run in ONNX Runtime")

import onnxruntime as ort
import torch
from punctum.export.graphs import center as lean_center
from punctum.export.graphs import locator as lean_locator
from punctum.export.graphs.export import center_graph, export_center, export_locator, locator_graph
from punctum.training.config import CenterConfig, HiddenLayer, LocatorConfig, Normalisation
from punctum.training.models.center import build_head
from punctum.training.models.ensemble import LocatorEnsemble
from punctum.training.models.locator import LocatorNet

DIM, CLASSES = 10, 3
CLOSE = 2e-5
ROUGH = HiddenLayer(units=8, kernel=5)
DEEP = (HiddenLayer(units=12, kernel=3), HiddenLayer(units=12, kernel=3, dilation=2, residual=True))
NETS = {
    "linear": LocatorConfig(hidden=(), linear_kernel=3),
    "one layer, members": LocatorConfig(hidden=(ROUGH,), members=3),
    "embedded, deep": LocatorConfig(embed=12, hidden=DEEP, members=2, smooth=2),
    "residual over the input": LocatorConfig(hidden=(HiddenLayer(units=DIM, kernel=3, residual=True),), members=2),
    "causal": LocatorConfig(hidden=(ROUGH,), max_right=0, smooth=1),
    "sigmoid": LocatorConfig(hidden=(ROUGH,), output="sigmoid", members=2, output_bias=False),
    "raw features": LocatorConfig(hidden=(ROUGH,), normalisation=Normalisation(standardise=False, clip=None)),
}
HEADS = {
    "default": CenterConfig(use_tracks=False, embed=6, hidden=16, members=2),
    "attention": CenterConfig(use_tracks=False, embed=6, hidden=16, members=3, attention=True),
    "one member, no length": CenterConfig(use_tracks=False, embed=6, hidden=16, members=1, use_length=False),
    "float32, six bins": CenterConfig(use_tracks=False, embed=6, hidden=16, members=1, bins=6, accumulate="float32"),
}


def net(config: LocatorConfig, seed: int = 0) -> LocatorNet:
    torch.manual_seed(seed)
    made = LocatorNet(config, dim=DIM, classes=CLASSES).eval()
    made.normalise.fit([torch.randn(50, DIM) * 3 + 1])
    return made


def head(config: CenterConfig, max_context: float = 4.0):
    torch.manual_seed(1)
    made = build_head(config, dim=DIM, classes=CLASSES, max_context=max_context).eval()
    if config.kind == "center":
        made.fit([torch.randn(50, DIM) * 3 + 1], torch.rand(40) * 9 + 0.5)
    return made


def run(graph: bytes, **feeds):
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, {i.name: feeds[i.name] for i in session.get_inputs()})


def check_locator(module, graph: bytes) -> None:
    rng = np.random.default_rng(0)
    for windows, length in ((1, 1), (1, 2), (3, 5), (1, 90)):
        features = rng.normal(1, 3, (windows, length, DIM)).astype(np.float32)
        with torch.inference_mode():
            expected = module(torch.from_numpy(features))
        for a, b in zip(expected, run(graph, features=features), strict=True):
            assert tuple(a.shape) == b.shape
            np.testing.assert_allclose(a.numpy(), b, atol=CLOSE)


def proposals(rng, length: int, count: int):
    segments = np.sort(rng.uniform(-0.5, length - 0.5, (count, 2)), axis=1).astype(np.float32)
    if count > 3:
        segments[0] = -0.5, length - 0.5  # everything, with context beyond both ends
        segments[1] = 0.25, 0.25 + 1e-4
        segments[2, 1] = segments[2, 0]  # without length
    return segments, rng.integers(0, CLASSES, count)


def check_center(module, graph: bytes, close: float = CLOSE) -> None:
    rng = np.random.default_rng(0)
    for length, count in ((1, 4), (2, 0), (30, 1), (400, 60)):
        features = rng.normal(1, 3, (length, DIM)).astype(np.float32)
        tracks = rng.uniform(0, 1, (length, CLASSES + 1)).astype(np.float32)
        segments, labels = proposals(rng, length, count)
        with torch.inference_mode():
            expected = module(*map(torch.from_numpy, (features, tracks, segments, labels)))
        found = run(graph, features=features, tracks=tracks, segments=segments, labels=labels)
        for a, b in zip(expected, found, strict=True):
            assert tuple(a.shape) == b.shape
            np.testing.assert_allclose(a.numpy(), b, atol=close)


@pytest.mark.parametrize("name", NETS)
def test_every_kind_of_network_is_written_as_it_is(name):
    module = net(NETS[name])
    assert lean_locator.fits(module)
    check_locator(module, lean_locator.write_locator(module))


@pytest.mark.parametrize("trained", [1, 2, 3])
def test_an_ensemble_is_one_graph_of_the_networks_that_vote(trained):
    module = LocatorEnsemble(
        [net(NETS[n], k) for k, n in enumerate(("one layer, members", "embedded, deep", "linear"))]
    )
    module.nets[1] = net(NETS["embedded, deep"].model_copy(update={"smooth": NETS["linear"].smooth}), 1)
    module.set_trained(trained)
    assert lean_locator.fits(module)
    check_locator(module.eval(), locator_graph(module))


@pytest.mark.slow
def test_networks_that_smooth_differently_keep_the_form_of_torch():
    module = LocatorEnsemble([net(NETS["linear"]), net(NETS["embedded, deep"])])
    module.set_trained(2)
    assert not lean_locator.fits(module)
    check_locator(module.eval(), locator_graph(module))


@pytest.mark.parametrize("name", HEADS)
def test_every_kind_of_head_is_written_as_it_is(name):
    module = head(HEADS[name])
    assert lean_center.fits(module)
    # Sums in float32 are rough for a segment of a ten-thousandth of a snippet, in either form.
    close = CLOSE if module.config.accumulate == "float64" else 1e-3
    check_center(module, lean_center.write_center(module), close)


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        CenterConfig(kind="published"),
        CenterConfig(embed=6, hidden=16, use_tracks=True),
        CenterConfig(use_tracks=False, embed=0),
    ],
)
def test_other_heads_keep_the_form_of_torch(config):
    module = head(config)
    assert not lean_center.fits(module)
    check_center(module, center_graph(module))


@pytest.mark.slow
def test_the_written_graphs_are_smaller_and_the_same_every_time():
    import onnx

    def nodes(graph: bytes) -> int:
        return len(onnx.load_from_string(graph).graph.node)

    module, scorer = net(NETS["embedded, deep"]), head(HEADS["default"])
    assert locator_graph(module) == locator_graph(module)
    assert center_graph(scorer) == center_graph(scorer)
    assert nodes(locator_graph(module)) < nodes(export_locator(module, DIM))
    assert nodes(center_graph(scorer)) < nodes(export_center(scorer, DIM, CLASSES))
