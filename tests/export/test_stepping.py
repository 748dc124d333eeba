"""Step graphs say what the locator says of whole windows: every kind of network, hop and precision."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="export needs torch")
pytest.importorskip("onnxscript", reason="export needs onnxscript")
pytest.importorskip("onnxruntime", reason="graphs are run in ONNX Runtime")

import onnx
import onnxruntime as ort
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from punctum.export.graphs.export import export_locator, locator_graph
from punctum.export.precision.integer import to_int8
from punctum.runtime.backends.stepping.rewrite import NotStepwiseError, step_graph
from punctum.training.config import HiddenLayer, LocatorConfig
from punctum.training.models.ensemble import LocatorEnsemble
from punctum.training.models.locator import LocatorNet

from tests.export.test_graphs import DIM, NETS, net

CLOSE = 2e-6
WIDE = (HiddenLayer(units=128, kernel=5), HiddenLayer(units=128, kernel=3, dilation=2))


def opened(graph: bytes) -> ort.InferenceSession:
    settings = ort.SessionOptions()
    settings.log_severity_level, settings.intra_op_num_threads = 3, 1
    return ort.InferenceSession(graph, settings, providers=["CPUExecutionProvider"])


def check_steps(graph: bytes, left: int, right: int, hops=(2, 1, 3, 7), *, dim: int = DIM, atol: float = CLOSE) -> None:
    """Two streams begin with a window and go on in hops; each step against a window from the beginning."""
    whole, begin = opened(graph), left + right
    rows = np.random.default_rng(1).normal(1, 3, (2, begin + 3 + sum(hops), dim)).astype(np.float32)
    for ahead in (True, False):
        step = step_graph(graph, right=right, ahead=ahead)
        onnx.checker.check_model(onnx.load_from_string(step.data), full_check=True)
        session, known = opened(step.data), begin + 3
        feeds = {"features": rows[:, :known], "state": np.zeros((2, step.state), np.float32)}
        *_, state = session.run(["class_track", "actionness", "next_state"], feeds)
        for hop in hops:
            feeds = {"features": rows[:, known : known + hop], "state": state}
            *found, state = session.run(["class_track", "actionness", "next_state"], feeds)
            known += hop
            expected = whole.run(["class_track", "actionness"], {"features": rows[:, :known]})
            for a, b in zip(expected, found, strict=True):
                wanted = a[:, known - hop - right : known if ahead else known - right]
                assert b.shape == wanted.shape
                np.testing.assert_allclose(b, wanted, rtol=0, atol=atol)


@pytest.mark.parametrize("name", NETS)
def test_every_kind_of_network(name):
    module = net(NETS[name])
    check_steps(locator_graph(module), *module.receptive_field)


def ensemble() -> LocatorEnsemble:
    """Networks that look ahead differently, so that the short ones wait for the long ones."""
    deep = net(NETS["embedded, deep"].model_copy(update={"smooth": 1}), 1)
    made = LocatorEnsemble([net(NETS["one layer, members"]), deep])
    made.set_trained(2)
    return made.eval()


def test_networks_that_look_ahead_differently():
    module = ensemble()
    check_steps(locator_graph(module), *module.receptive_field)


@pytest.mark.slow
def test_graphs_as_torch_exports_them():
    """Bundles that were exported before graphs were written for engines have this form, the shipped one too."""
    module = ensemble()
    check_steps(export_locator(module, DIM), *module.receptive_field)


def test_a_field_declared_larger_than_it_is():
    module = net(NETS["embedded, deep"])
    left, right = module.receptive_field
    check_steps(locator_graph(module), left + 3, right + 4)


def test_int8_has_the_same_activations():
    torch.manual_seed(0)
    module = LocatorNet(LocatorConfig(hidden=WIDE, members=2, smooth=1), dim=64, classes=4).eval()
    module.normalise.fit([torch.randn(50, 64) * 3 + 1])
    rows = np.random.default_rng(0).normal(1, 3, (1, 200, 64)).astype(np.float32)
    graph = to_int8(locator_graph(module), [{"features": rows}], style="cpu")
    assert graph is not None
    check_steps(graph, *module.receptive_field, dim=64, atol=5e-3)


LAYERS = st.builds(
    HiddenLayer, kernel=st.integers(1, 5), units=st.just(8), dilation=st.integers(1, 4), residual=st.booleans()
)
CONFIGS = st.builds(
    LocatorConfig,
    embed=st.just(8),
    hidden=st.lists(LAYERS, max_size=3).map(tuple),
    linear_kernel=st.integers(1, 4),
    members=st.integers(1, 2),
    smooth=st.integers(0, 2),
    max_right=st.one_of(st.none(), st.integers(0, 9)),
    output=st.sampled_from(["softmax", "sigmoid"]),
)


@settings(max_examples=25, deadline=None)
@given(CONFIGS, st.lists(st.integers(1, 12), min_size=1, max_size=4))
def test_any_network_and_any_hops(config, hops):
    module = net(config)
    left, right = module.receptive_field
    if left + right == 0:
        with pytest.raises(NotStepwiseError):
            step_graph(locator_graph(module), right=right, ahead=True)
        return
    check_steps(locator_graph(module), left, right, hops)


def own_locator(nodes, constants, *, dims=("B", "T", 4)) -> bytes:
    """A locator from another library: features -> scores of two classes and actionness."""
    rank = len(dims)
    inputs = [helper.make_tensor_value_info("features", 1, list(dims))]
    outputs = [
        helper.make_tensor_value_info("class_track", 1, [*dims[:-1], 2]),
        helper.make_tensor_value_info("actionness", 1, list(dims[:-1])),
    ]
    ends = [
        helper.make_node("Sigmoid", ["scores"], ["class_track"]),
        helper.make_node("ReduceMax", ["class_track", "last"], ["actionness"], keepdims=0),
    ]
    stored = {"last": np.array([rank - 1]), **constants}
    graph = helper.make_graph(
        [*nodes, *ends], "own", inputs, outputs, [numpy_helper.from_array(v, k) for k, v in stored.items()]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()


def convolutions(mode: str = "pads") -> bytes:
    """Two convolutions, each padded by itself, as most libraries do it, then a dense layer."""
    rng = np.random.default_rng(3)
    attributes = {"pads": [2, 2]} if mode == "pads" else {"auto_pad": "SAME_UPPER"}
    nodes = [
        helper.make_node("Transpose", ["features"], ["columns"], perm=[0, 2, 1]),
        helper.make_node("Conv", ["columns", "w1", "b1"], ["c1"], **attributes),
        helper.make_node("Tanh", ["c1"], ["t1"]),
        helper.make_node("Conv", ["t1", "w2"], ["c2"], dilations=[2], pads=[4, 0]),
        helper.make_node("Transpose", ["c2"], ["rows"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["rows", "dense"], ["scores"]),
    ]
    weights = {"w1": (6, 4, 5), "b1": (6,), "w2": (5, 6, 3), "dense": (5, 2)}
    return own_locator(nodes, {k: rng.normal(0, 0.5, dims).astype(np.float32) for k, dims in weights.items()})


def test_locators_of_others():
    """Padding in every layer counts as missing features, at the end of a stream as in a window."""
    check_steps(convolutions(), 6, 2, dim=4)


def test_what_has_no_steps_is_refused():
    attention = [
        helper.make_node("Transpose", ["features"], ["columns"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["features", "columns"], ["pairs"]),
        helper.make_node("Softmax", ["pairs"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", "features"], ["mixed"]),
        helper.make_node("MatMul", ["mixed", "dense"], ["scores"]),
    ]
    dense = np.ones((4, 2), np.float32)
    norm = [
        helper.make_node("ReduceMean", ["features", "time"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["features", "mean"], ["centered"]),
        helper.make_node("MatMul", ["centered", "dense"], ["scores"]),
    ]
    early = [helper.make_node("MatMul", ["features", "dense"], ["scores"])]
    for graph in (
        own_locator(attention, {"dense": dense}),
        own_locator(norm, {"dense": dense, "time": np.array([1])}),
        own_locator(early, {"dense": dense}, dims=("T", 4)),
        convolutions("same"),
        b"",
        b"\x00 no graph",
    ):
        with pytest.raises(NotStepwiseError):
            step_graph(graph, right=2, ahead=True)
    with pytest.raises(NotStepwiseError):  # no context, so nothing to keep
        step_graph(own_locator(early, {"dense": dense}), right=0, ahead=True)
    with pytest.raises(NotStepwiseError):  # it looks further ahead than the bundle says
        step_graph(convolutions(), right=1, ahead=True)
