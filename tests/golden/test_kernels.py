"""Kernels against the published implementations' own outputs."""

from __future__ import annotations

import numpy as np
import pytest
from punctum import kernels
from punctum.kernels.reference import published

pytestmark = pytest.mark.shared


def cases(folder, kind):
    files = sorted(folder.glob(f"{kind}_[0-9]*.npz"))
    assert files, f"no golden {kind}"
    return [(file.stem, np.load(file)) for file in files]


def tied(values) -> bool:
    return len(np.unique(values)) < len(values)


def test_soft_nms(golden_dir):
    for name, case in cases(golden_dir, "soft_nms"):
        dets = case["dets"]
        index, value = kernels.soft_nms(dets[:, :2], dets[:, 3], length_offset=1.0, min_score=-np.inf)
        np.testing.assert_allclose(value, case["out"][:, 3], rtol=1e-9, atol=1e-12, err_msg=name)
        if not tied(dets[:, 3]):
            np.testing.assert_array_equal(dets[index, :2], case["out"][:, :2], err_msg=name)


def test_nms(golden_dir):
    compared = 0
    for name, case in cases(golden_dir, "nms"):
        rows = case["proposals"]
        if tied(rows[:, 1]):
            continue  # the published order of ties is one machine's
        for key, threshold in (("keep", 0.7), ("keep_thr05", 0.5), ("keep_thr03", 0.3)):
            kept = kernels.nms(rows[:, 2:], rows[:, 1], iou_threshold=threshold, length_offset=1.0)
            np.testing.assert_array_equal(rows[kept], case[key], err_msg=f"{name} {key}")
            compared += 1
    assert compared >= 12


def test_adapt_boundaries(golden_dir):
    compared = 0
    for name, case in cases(golden_dir, "boundary_adaption"):
        if tied(case["score"]) and len(case["score"]) > 1:
            continue
        got = kernels.adapt_boundaries(case["proposals"], case["score"])
        tolerance = 1e-4 if case["proposals"].dtype == np.float32 else 1e-9
        np.testing.assert_allclose(got, case["out"], atol=tolerance, err_msg=name)
        compared += 1
    assert compared >= 4


def test_adapt_boundaries_where_the_published_code_gives_nan(golden_dir):
    seen = 0
    for name, case in cases(golden_dir, "boundary_adaption"):
        broken = np.isnan(case["out"]).any(axis=1)
        got = kernels.adapt_boundaries(case["proposals"], case["score"])
        assert np.isfinite(got).all(), name
        np.testing.assert_array_equal(got[broken], case["proposals"][broken], err_msg=name)
        seen += int(broken.sum())
    assert seen > 0


def test_average_precision(golden_dir):
    for name, case in cases(golden_dir, "detection_map"):
        videos = {v: i for i, v in enumerate(dict.fromkeys([*case["gt_video"], *case["pred_video"]]))}
        known = case["pred_label"] >= 0
        got = kernels.average_precision(
            [videos[v] for v in case["gt_video"]],
            case["gt_label"],
            np.stack([case["gt_start"], case["gt_end"]], 1),
            [videos[v] for v in case["pred_video"][known]],
            case["pred_label"][known],
            np.stack([case["pred_start"], case["pred_end"]], 1)[known],
            case["pred_score"][known],
            case["thresholds"],
            videos=len(videos),
            classes=len(case["classes"]),
        )
        if tied(case["pred_score"]):
            # Up to the choice among equals, which moves a small case a lot and a real one hardly.
            assert np.abs(got.mean() - case["average"]) < (0.05 if len(case["pred_score"]) < 500 else 2e-3), name
        else:
            np.testing.assert_allclose(got, case["ap"], atol=1e-9, err_msg=name)
            np.testing.assert_allclose(got.mean(), case["average"], atol=1e-9, err_msg=name)


def test_published_upsampling(golden_dir):
    for name, case in cases(golden_dir, "upgrade_resolution"):
        got = published.upgrade_resolution(case["x"][..., 0], 24)
        np.testing.assert_allclose(got, case["out"][..., 0], atol=1e-6, err_msg=name)


def test_published_contrast(golden_dir):
    for name, case in cases(golden_dir, "get_oic_score"):
        if case["score"].ndim == 1:
            got = published.contrast_of_run(case["score"], int(case["start"]), int(case["end"]))
            np.testing.assert_allclose(got, case["out"], atol=1e-6, err_msg=name)


@pytest.mark.parametrize("bins", [6, 12])
def test_published_pooling(golden_dir, bins):
    for name, case in cases(golden_dir, f"roi_R{bins}"):
        got = published.roi_align_1d(case["x"], case["proposals"], bins)
        np.testing.assert_allclose(got, case["out"], atol=2e-5, err_msg=name)


def test_seeds_and_sequence(golden_dir):
    for name, case in cases(golden_dir, "lacp_seed_search"):
        action, background = kernels.select_seeds(
            case["cas_fuse"],
            case["point_label"],
            action_threshold=float(case["act_thresh"]),
            background_threshold=float(case["bkg_thresh"]),
        )
        np.testing.assert_array_equal(action, case["act_seed"], err_msg=name)
        np.testing.assert_array_equal(background, case["bkg_seed"], err_msg=name)
        dense, score = kernels.search_sequence(case["cas_fuse"], action, background)
        assert score >= float(case["sequence_score"]) - 1e-6, name  # the beam can only be worse
        np.testing.assert_array_equal(dense, case["dense"], err_msg=name)
