"""The kernels for GPUs against the CPU kernels: in Numba's simulator (NUMBA_ENABLE_CUDASIM=1), or on a GPU.

`test_cuda.py` runs this in a process of its own, because the choice has to be made before Numba is loaded.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import cuda
from punctum import kernels
from punctum.kernels import KernelInputError
from punctum.kernels import cuda as gpu
from punctum.kernels.cuda import _device, _kernels
from punctum.kernels.cuda._arith import SIMULATED

from tests.helpers.exhaustive import EXHAUSTIVE, examples

SHARED = Path(os.environ.get("PUNCTUM_SHARED", Path(__file__).resolve().parents[3] / "shared"))
GRID = st.integers(-8, 40).map(lambda k: k / 4)
quick = settings(max_examples=examples(6, 12) if SIMULATED else 100, deadline=None)


class Device:
    """What CuPy or torch hand over: an object that has nothing but the interface."""

    def __init__(self, array, **changes):
        array = np.ascontiguousarray(array)
        if SIMULATED:
            self.array, interface = array, array.__array_interface__
        else:
            self.array = cuda.to_device(array.astype(array.dtype.newbyteorder("=")))
            interface = {**self.array.__cuda_array_interface__, "typestr": array.dtype.str}
        self.interface = {**interface, "version": 3, "strides": None, "stream": None, **changes}

    @property
    def __cuda_array_interface__(self):
        return self.interface


def host(result):
    return result.copy_to_host()


@st.composite
def groups(draw, most=7):
    """Groups, some empty or of one, on a coarse grid: many touch, coincide, tie or have no length."""
    sizes = draw(st.lists(st.integers(0, most), min_size=1, max_size=4))
    count = sum(sizes)
    a = np.array(draw(st.lists(GRID, min_size=count, max_size=count)), float)
    length = np.array(draw(st.lists(st.sampled_from([0, 0.25, 1, 2.5, 7]), min_size=count, max_size=count)), float)
    scores = draw(st.lists(st.sampled_from([0.0, -0.0, 0.1, 0.25, 0.5, 0.9]), min_size=count, max_size=count))
    return np.stack([a, a + length], 1).reshape(-1, 2), np.array(scores, float), np.cumsum([0, *sizes])


def crowd(count, span, seed):
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, span, count)
    return np.stack([start, start + rng.lognormal(0.5, 0.8, count)], 1), rng.random(count) ** 2


def assert_same_picks(case, **options):
    got = [host(part) for part in gpu.suppress_groups(*map(Device, case), **options)]
    expected = kernels.suppress_groups(*case, **options)
    for mine, wanted in zip(got, expected, strict=True):
        np.testing.assert_array_equal(mine, wanted)  # not one bit apart


@quick
@given(groups(), st.sampled_from([0.1, 0.3, 0.9]), st.sampled_from([0.0, 0.2, -1.0]), st.sampled_from([0.0, 1.0]))
def test_suppression(case, sigma, floor, offset):
    assert_same_picks(case, sigma=sigma, min_score=floor, length_offset=offset)


@quick
@given(groups(most=5), st.sampled_from([0.2, 0.7]))
def test_suppression_of_negative_scores(case, shift):
    segments, scores, offsets = case
    scores = scores - shift
    assert_same_picks((segments, scores, offsets))
    _index, value, ends = (
        host(part) for part in gpu.suppress_groups(*map(Device, (segments, scores, offsets)), min_score=-1)
    )
    expected = kernels.suppress_groups(segments, scores, offsets, min_score=-1)
    np.testing.assert_array_equal(ends, expected[2])
    np.testing.assert_allclose(value, expected[1], rtol=1e-12, atol=1e-300)


@quick
@given(groups(), st.sampled_from([0.0, 0.1, 0.4, 0.7, 1.0, 1.5]))
def test_boundary_adaptation(case, threshold):
    got = host(gpu.adapt_groups(*map(Device, case), iou_threshold=threshold))
    expected = kernels.adapt_groups(*case, iou_threshold=threshold)
    np.testing.assert_allclose(got, expected, atol=1e-12)
    np.testing.assert_array_equal(got == case[0], expected == case[0]) if threshold >= 1 else None


@pytest.mark.parametrize("beyond", [-1, 0, 1, 20])
def test_groups_that_fill_and_exceed_shared_memory(beyond, monkeypatch):
    monkeypatch.setattr(_kernels, "CAPACITY", 16)  # the real one takes the simulator minutes
    count = 16 + beyond
    segments, scores = crowd(count + 3, 8, seed=count)
    case = (segments, scores, np.array([0, 2, 2 + count, 3 + count]))
    assert_same_picks(case)
    got = host(gpu.adapt_groups(*map(Device, case), iou_threshold=0.1))
    np.testing.assert_allclose(got, kernels.adapt_groups(*case, iou_threshold=0.1), atol=1e-12)


@pytest.mark.parametrize("threads", [1, 4, 32])
def test_the_size_of_a_block_changes_nothing(threads, monkeypatch):
    monkeypatch.setattr(_device, "threads_for", lambda largest: threads)
    segments, scores = crowd(14, 6, seed=threads)
    scores[::3] = 0.5
    case = (segments, scores, np.array([0, 1, 1, 11, 14]))
    assert_same_picks(case)
    np.testing.assert_allclose(host(gpu.adapt_groups(*map(Device, case))), kernels.adapt_groups(*case), atol=1e-12)


def test_many_groups_in_one_launch():
    count, most = (45, 14) if SIMULATED and not EXHAUSTIVE else (90, 29)
    segments, scores = crowd(count, 40, seed=5)
    offsets = np.sort(np.random.default_rng(1).integers(0, count + 1, most))
    case = (segments, scores, np.array([0, *offsets, count]))
    assert_same_picks(case, min_score=0.2)
    np.testing.assert_allclose(host(gpu.adapt_groups(*map(Device, case))), kernels.adapt_groups(*case), atol=1e-12)


def test_float32_gives_the_decisions_of_the_cpu():
    segments, scores = crowd(24, 8, seed=9)
    case = (segments.astype(np.float32), scores.astype(np.float32), np.array([0, 9, 24], np.int32))
    assert_same_picks(case)
    np.testing.assert_allclose(host(gpu.adapt_groups(*map(Device, case))), kernels.adapt_groups(*case), atol=1e-12)


def test_a_shift_in_time_keeps_the_picks():
    segments, scores = crowd(20, 10, seed=3)
    far = (np.round(segments, 2) + 2.0**20, scores, np.array([0, 20]))
    assert_same_picks(far)
    np.testing.assert_allclose(host(gpu.adapt_groups(*map(Device, far))), kernels.adapt_groups(*far), atol=1e-9)


def test_nothing_at_all():
    none = (Device(np.zeros((0, 2))), Device(np.zeros(0)), np.zeros(3, np.int64))
    assert host(gpu.adapt_groups(*none)).shape == (0, 2)
    index, value, ends = (host(part) for part in gpu.suppress_groups(*none))
    assert index.shape == value.shape == (0,)
    assert ends.tolist() == [0, 0, 0]
    assert host(gpu.fuse_confidence(Device(np.zeros((0, 3))), Device(np.zeros(0)), Device(np.zeros(0)))).shape == (0, 3)
    index, _, ends = gpu.suppress_groups(Device([[0.0, 1.0]]), Device([0.1]), [0, 1], min_score=0.5)
    assert host(index).size == 0
    assert host(ends).tolist() == [0, 0]


def cases(kind):
    """All golden vectors where they are, else the small set of the repository."""
    small = Path(__file__).resolve().parents[1] / "golden" / "data"
    files = sorted((SHARED / "golden").glob(f"{kind}_[0-9]*.npz")) or sorted(small.glob(f"{kind}_[0-9]*.npz"))
    assert files, f"no golden {kind}"
    return [(file.stem, np.load(file)) for file in files]


# Rows of a golden case: the simulator takes a second for some thousand barriers.
MOST = examples(24, 36) if SIMULATED else 100_000


def test_golden_soft_nms():
    whole = 0
    for name, case in cases("soft_nms"):
        dets = case["dets"][:MOST]
        given = (dets[:, :2], dets[:, 3], [0, len(dets)])
        # Below 0 a decayed score grows, and may differ in its last bit.
        assert_same_picks(given, length_offset=1.0, min_score=0.0 if len(dets) == len(case["dets"]) else 0.1)
        if len(dets) == len(case["dets"]):
            index, value, _ = gpu.suppress_groups(*map(Device, given), length_offset=1.0, min_score=-np.inf)
            np.testing.assert_allclose(host(value), case["out"][:, 3], rtol=1e-9, atol=1e-12, err_msg=name)
            if len(np.unique(dets[:, 3])) == len(dets):
                np.testing.assert_array_equal(dets[host(index), :2], case["out"][:, :2], err_msg=name)
            whole += 1
    assert whole


def test_golden_boundary_adaption():
    for name, case in cases("boundary_adaption"):
        proposals, score = case["proposals"][:MOST], case["score"][:MOST]
        got = host(gpu.adapt_groups(Device(proposals), Device(score), [0, len(score)]))
        np.testing.assert_allclose(got, kernels.adapt_boundaries(proposals, score), atol=1e-9, err_msg=name)


def test_golden_boundary_adaption_to_the_published_output():
    """A whole case, in the groups that its proposals fall into where nothing overlaps."""
    compared = 0
    for name, case in cases("boundary_adaption"):
        score, segments, expected = case["score"], case["proposals"], case["out"]
        if len(np.unique(score)) < len(score) or not (score > 0).all():
            continue  # the published order of ties is one machine's
        order = np.argsort(segments[:, 0], kind="stable")
        reach = np.maximum.accumulate(segments[order, 1])
        cuts = [0, *(1 + np.flatnonzero(segments[order][1:, 0] >= reach[:-1])), len(order)]
        if np.diff(cuts).max() > MOST:
            continue
        got = host(gpu.adapt_groups(Device(segments[order]), Device(score[order]), cuts))
        np.testing.assert_allclose(
            got, expected[order], atol=1e-4 if expected.dtype == np.float32 else 1e-9, err_msg=name
        )
        compared += 1
        if SIMULATED and compared == 2:
            break
    assert compared


def test_golden_whole_post_processing():
    for name, case in cases("tspnet_post")[:2]:
        logits = {key: case[key].astype(np.float64) for key in ("cas", "attn", "center")}
        power = np.exp(logits["cas"] - logits["cas"].max(0))
        probability = (power / power.sum(0)).T
        attention, center = (1 / (1 + np.exp(-logits[key].ravel())) for key in ("attn", "center"))
        best = np.argsort(-(attention * center), kind="stable")[:MOST]
        parts = [np.ascontiguousarray(part[best]) for part in (probability, attention, center)]
        fused = host(gpu.fuse_confidence(*map(Device, parts)))
        np.testing.assert_array_equal(fused, kernels.fuse_confidence(*parts), err_msg=name)
        label = int(np.argmax(fused.sum(0)[:-1]))
        segments, scores = case["proposals"][best].astype(np.float64), fused[:, label]
        offsets = [0, len(best)]
        moved = gpu.adapt_groups(Device(segments), Device(scores), offsets)
        assert gpu.on_device(moved)
        np.testing.assert_allclose(
            host(moved), kernels.adapt_groups(segments, scores, offsets), atol=1e-9, err_msg=name
        )
        assert_same_picks((host(moved), scores, offsets), min_score=0.001)


@quick
@given(st.data(), st.sampled_from([np.float32, np.float64]))
def test_the_fusion_of_the_runtime(data, real):
    from punctum.runtime.bundle.config import Fusion, PostProcess
    from punctum.runtime.session.post import Proposals, fuse

    count = data.draw(st.integers(1, 9))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    powers = data.draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, 0.37]), min_size=5, max_size=5))
    contrast, base = rng.uniform(-0.3, 1, count), rng.random(count)
    probability, attention, center = rng.random((count, 3)), rng.random(count), rng.random(count)
    head = tuple(part.astype(real) for part in (probability, attention, center))
    labels = rng.integers(0, 3, count)
    names = ("contrast", "base", "class_probability", "attention", "center")
    post = PostProcess(fusion=Fusion(**dict(zip(names, powers, strict=True))))
    expected = fuse(Proposals(np.zeros((count, 2)), labels, contrast, base), head, post)
    got = gpu.fuse_scores(*map(Device, (contrast, base, labels, *head)), weights=powers)
    np.testing.assert_allclose(host(got), expected, rtol=2e-15)


def test_terms_that_do_not_count_may_be_left_out():
    contrast = Device([0.2, -0.1, 0.9])
    got = gpu.fuse_scores(contrast, None, None, None, None, None, weights=(1, 0, 0, 0, 0))
    np.testing.assert_array_equal(host(got), [0.2, 0.0, 0.9])


def test_the_public_kernels_follow_the_data():
    segments, scores = crowd(20, 8, seed=2)
    case = (segments, scores, np.array([0, 5, 20]))
    moved = kernels.adapt_groups(*map(Device, case))
    assert kernels.cuda.on_device(moved)
    index, _, _ = kernels.suppress_groups(moved, Device(scores), case[2])
    expected = kernels.suppress_groups(host(moved), scores, case[2])
    np.testing.assert_array_equal(host(index), expected[0])
    fused = kernels.fuse_confidence(*map(Device, (np.ones((20, 2)), scores, scores)))
    np.testing.assert_array_equal(host(fused), np.tile((scores * scores)[:, None], 2))
    with pytest.raises(KernelInputError, match="scores is ndarray on the host"):
        kernels.adapt_groups(Device(segments), scores, case[2])


def test_arrays_of_numba_are_taken_as_they_are():
    segments, scores = crowd(10, 8, seed=2)
    got = gpu.adapt_groups(cuda.to_device(segments), cuda.to_device(scores), cuda.to_device(np.array([0, 10])))
    np.testing.assert_allclose(host(got), kernels.adapt_boundaries(segments, scores), atol=1e-12)


SEGMENTS, SCORES = np.array([[0.0, 1.0], [2.0, 3.0]]), np.array([0.5, 0.25])


@pytest.mark.parametrize(
    ("segments", "scores", "offsets", "message"),
    [
        (SEGMENTS, Device(SCORES), [0, 2], "segments is ndarray on the host"),
        (Device(SEGMENTS), [0.5, 0.25], [0, 2], "scores is list on the host"),
        (Device(SEGMENTS.astype(np.float16)), Device(SCORES), [0, 2], "segments has dtype <f2. Allowed: float32 or"),
        (Device(SEGMENTS.astype(">f8")), Device(SCORES), [0, 2], "segments has dtype >f8"),
        (Device(SEGMENTS), Device(np.array([1, 2])), [0, 2], "scores has dtype <i8"),
        (Device(SEGMENTS, strides=(8, 16)), Device(SCORES), [0, 2], r"segments has strides \(8, 16\)"),
        (Device(SEGMENTS), Device(SCORES, strides=(16,)), [0, 2], "make scores contiguous"),
        (Device(SEGMENTS.ravel()), Device(SCORES), [0, 2], r"segments has shape \[4\]"),
        (Device(np.zeros((2, 3))), Device(SCORES), [0, 2], r"segments has shape \[2, 3\]. Allowed: \[any, 2\]"),
        (Device(SEGMENTS), Device(SCORES[:1]), [0, 2], r"scores has shape \[1\]. Allowed: \[2\]"),
        (Device(SEGMENTS), Device(SCORES), [0, 1], "not a partition"),
        (Device(SEGMENTS), Device(SCORES), [0, 2, 1, 2], "not a partition"),
        (Device(SEGMENTS), Device(SCORES), Device(np.array([0, 2, 1, 2])), "not a partition"),
        (Device(SEGMENTS), Device(SCORES), Device(np.array([0.0, 2.0])), "group_offsets has dtype <f8"),
        (Device(SEGMENTS), Device(SCORES), Device(np.zeros(0, np.int64)), "not a partition"),
        (Device(SEGMENTS, stream=0), Device(SCORES), [0, 2], "names stream 0"),
        (Device(SEGMENTS, mask=Device(SEGMENTS)), Device(SCORES), [0, 2], "and a mask"),
        (Device(SEGMENTS, version=1), Device(SCORES), [0, 2], "version 1"),
        (Device(SEGMENTS, data=(0, False)), Device(SCORES), [0, 2], "has no address"),
        (Device(SEGMENTS, data=None), Device(SCORES), [0, 2], "incomplete"),
        (Device(SEGMENTS[:, ::-1]), Device(SCORES), [0, 2], r"segments\[0\] ends before it starts"),
        (Device([[0.0, 1.0], [2.0, np.nan]]), Device(SCORES), [0, 2], r"segments\[1\] contains NaN"),
        (Device(SEGMENTS), Device([0.5, np.inf]), [0, 2], r"scores\[1\] is NaN or infinite"),
    ],
)
def test_misuse_is_named_before_a_launch(segments, scores, offsets, message, monkeypatch):
    for name in ("adapt", "pick"):
        monkeypatch.setattr(_kernels, name, None)
    for call in (gpu.adapt_groups, gpu.suppress_groups):
        with pytest.raises(KernelInputError, match=message):
            call(segments, scores, offsets)


def test_misuse_of_the_fusion():
    one = Device([0.5])
    with pytest.raises(KernelInputError, match=r"labels\[0\] is out of range"):
        gpu.fuse_scores(one, one, Device(np.array([2])), Device([[0.5, 0.5]]), one, one, weights=(1, 1, 1, 1, 1))
    with pytest.raises(KernelInputError, match="five finite numbers"):
        gpu.fuse_scores(one, one, None, None, None, None, weights=(1, 1))
    with pytest.raises(KernelInputError, match="at least one array"):
        gpu.fuse_scores(None, None, None, None, None, None, weights=(0, 0, 0, 0, 0))
    with pytest.raises(KernelInputError, match="center is NoneType on the host"):
        gpu.fuse_scores(one, None, None, None, None, None, weights=(0, 0, 0, 0, 1))
    with pytest.raises(KernelInputError, match=r"scores\[0\] is NaN"):
        gpu.fuse_scores(Device([np.nan]), None, None, None, None, None, weights=(1, 0, 0, 0, 0))
    with pytest.raises(KernelInputError, match="sigma"):
        gpu.suppress_groups(Device(SEGMENTS), Device(SCORES), [0, 2], sigma=0)
    with pytest.raises(KernelInputError, match="iou_threshold"):
        gpu.adapt_groups(Device(SEGMENTS), Device(SCORES), [0, 2], iou_threshold=-1)


def test_views_with_spelled_out_strides_are_taken():
    segments, scores = Device(SEGMENTS, strides=(16, 8)), Device(SCORES, strides=(8,))
    np.testing.assert_array_equal(host(gpu.adapt_groups(segments, scores, [0, 2])), SEGMENTS)
