from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum import kernels
from punctum.training.config import CenterConfig
from punctum.training.models.center import build_head
from punctum.training.models.pooling import SegmentPool


def random_segments(rng: np.random.Generator, length: int, count: int) -> np.ndarray:
    start = rng.uniform(-2, length, count)
    return np.stack([start, start + rng.uniform(3, 3 + length, count)], axis=1)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    length=st.integers(1, 60),
    count=st.integers(0, 12),
    bins=st.sampled_from([6, 12, 24]),
    limit=st.sampled_from([math.inf, 1.5]),
)
def test_equals_the_kernel(seed, length, count, bins, limit):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(length, 3)).astype(np.float32)
    segments = random_segments(rng, length, count)
    pooled = SegmentPool(bins=bins, max_context=limit)(torch.from_numpy(x), torch.from_numpy(segments))
    expected = kernels.pool_segments(x, segments, bins=bins, max_context=limit)
    np.testing.assert_allclose(pooled.numpy(), expected, atol=2e-6)


def test_segments_without_length_pool_to_zero():
    pooled = SegmentPool()(torch.ones(5, 2), torch.tensor([[1.3, 1.3]]))
    assert pooled.shape == (1, 12, 2) and not pooled.any()


def test_float32_accumulation_is_close_for_ordinary_proposals():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(120, 4)).astype(np.float32)
    start = rng.uniform(0, 80, 50)
    segments = np.stack([start, start + rng.uniform(3, 30, 50)], axis=1).astype(np.float32)
    single = SegmentPool(double=False)(torch.from_numpy(x), torch.from_numpy(segments))
    np.testing.assert_allclose(single.numpy(), kernels.pool_segments(x, segments), atol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["center", "published"])
def test_heads_export_with_dynamic_lengths_and_no_proposals(kind):
    onnxruntime = pytest.importorskip("onnxruntime")
    graphs = pytest.importorskip("punctum.export.graphs.export")
    torch.manual_seed(0)
    head = build_head(CenterConfig(kind=kind, embed=8, hidden=16), dim=6, classes=3, max_context=4.0).eval()
    session = onnxruntime.InferenceSession(graphs.export_center(head, 6, 3), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    for length, count in ((1, 1), (2, 0), (53, 7), (200, 300)):
        inputs = {
            "features": rng.normal(size=(length, 6)).astype(np.float32),
            "tracks": rng.uniform(size=(length, 4)).astype(np.float32),
            "segments": random_segments(rng, length, count).astype(np.float32),
            "labels": rng.integers(0, 3, count),
        }
        named = {i.name: inputs[i.name] for i in session.get_inputs()}
        got = session.run(None, named)
        with torch.no_grad():
            expected = head(*(torch.from_numpy(v) for v in inputs.values()))
        for a, b in zip(got, expected, strict=True):
            assert a.shape == tuple(b.shape)
            np.testing.assert_allclose(a, b.numpy(), atol=1e-5)
