"""Parity with the published implementations (golden vectors)."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from punctum import kernels
from punctum.training.config import CenterConfig, CenterObjective
from punctum.training.data.center_labels import label_proposals, update_points
from punctum.training.models.center import HeadLogits, Pooled, PublishedCenterHead
from punctum.training.objectives.center import csl_loss
from punctum.training.objectives.lacp import lacp_terms

PUBLISHED = CenterObjective(
    inside_logits=True, normalize_rows=False, several="first", foreign="ignore", crowded="ignore", update="published"
)


def cases(folder: Path, kind: str) -> list[dict[str, np.ndarray]]:
    files = sorted(folder.glob(f"{kind}_*.npz"))
    assert files, f"no golden vectors of kind {kind}"
    return [dict(np.load(f)) for f in files]


def test_backbone(golden_dir: Path):
    names = {
        "fusion": "prop_fusion__0",
        "classifier.0": "prop_classifier__0",
        "classifier.2": "prop_classifier__2",
        "attention.0": "prop_attention__0",
        "attention.2": "prop_attention__2",
        "center.0": "prop_completeness__0",
        "center.2": "prop_completeness__2",
    }
    for z in cases(golden_dir, "backbone"):
        dim, classes = z["feat"].shape[2], z["cas"].shape[0] - 1
        config = CenterConfig(kind="published", bins=int(z["roi_size"]))
        head = PublishedCenterHead(config, dim=dim, classes=classes, max_context=8.0).eval()
        x = torch.from_numpy(z["feat"])
        with torch.no_grad():
            for ours, theirs in names.items():
                layer = head.get_submodule(ours)
                layer.weight.copy_(torch.from_numpy(z[f"{theirs}__weight"]).reshape(layer.weight.shape))
                layer.bias.copy_(torch.from_numpy(z[f"{theirs}__bias"]))
            out, fused = head.member_logits(Pooled(x, x, x))[0], head.fuse(x)
        np.testing.assert_allclose(fused.T, z["fused"], atol=1e-6)
        np.testing.assert_allclose(out.classes.T, z["cas"], atol=1e-6)
        np.testing.assert_allclose(out.attention[None], z["attn"], atol=1e-6)
        np.testing.assert_allclose(out.center[None], z["center"], atol=1e-6)


def test_csl_loss_gradients_and_scores(golden_dir: Path):
    for z in cases(golden_dir, "ptal_loss"):
        cas, attn, center = (torch.from_numpy(z[k]).requires_grad_() for k in ("cas", "attn", "center"))
        logits = HeadLogits(cas.T, attn[0], center[0])
        labels = torch.from_numpy(z["point_label"]), torch.from_numpy(z["center_label"])
        total, terms = csl_loss(logits, *labels, PUBLISHED)
        total.backward()
        assert float(total.detach()) == pytest.approx(float(z["total"]), rel=1e-6)
        assert float(terms["point"].detach()) == pytest.approx(float(z["point_loss"]), rel=1e-6)
        assert float(terms["saliency"].detach()) == pytest.approx(float(z["saliency_loss"]), rel=1e-6)
        for tensor, name in ((cas, "cas"), (attn, "attn"), (center, "center")):
            np.testing.assert_allclose(tensor.grad, z[f"grad_{name}"], atol=1e-7)
        with torch.no_grad():
            parts = (torch.softmax(cas.T, 1).numpy(), torch.sigmoid(attn[0]).numpy(), torch.sigmoid(center[0]).numpy())
        np.testing.assert_allclose(kernels.fuse_confidence(*parts), z["fused_score"], atol=1e-6)


def times_of(z: dict[str, np.ndarray]) -> np.ndarray:
    return z["point_frames"] * float(z["snippets_per_second"]) / float(z["fps"])


def published_labels(z: dict[str, np.ndarray], times: np.ndarray):
    return label_proposals(
        z["proposals_snippets"],
        times,
        z["point_class"].astype(np.int64),
        classes=int(z["num_classes"]),
        rule=PUBLISHED.model_copy(update={"empty_label": float(z["soft_value"])}),
    )


@pytest.mark.parametrize("kind", ["center_label", "update_label"])
def test_center_labels(golden_dir: Path, kind: str):
    for z in cases(golden_dir, kind):
        found = published_labels(z, times_of(z))
        np.testing.assert_allclose(found.center, z["center_label"], atol=1e-6)
        np.testing.assert_array_equal(found.classes, z["point_label"])
        np.testing.assert_array_equal(found.click, z["first_point_id"])


@pytest.mark.parametrize("published", [True, False])
def test_the_first_point_update(golden_dir: Path, published: bool):
    """The absolute rule and the published one agree on the first update."""
    for z in cases(golden_dir, "update_label"):
        times = times_of(z)
        moved = update_points(
            z["proposals_snippets"],
            published_labels(z, times).click,
            z["comp_score"].astype(np.float64),
            original=times,
            current=times,
            threshold=float(z["up_threshold"]),
            published=published,
        )
        expected = np.zeros(len(times))
        real = z["delta_point_id"] >= 0
        expected[z["delta_point_id"][real]] = z["delta_snippets"][real]
        np.testing.assert_allclose(moved - times, expected, atol=1e-5)
        after = published_labels(z, moved)
        np.testing.assert_allclose(after.center, z["center_label_after"], atol=1e-5)
        np.testing.assert_array_equal(after.classes, z["point_label_after"])


def background_seeds(fused: np.ndarray, labels: np.ndarray, level: float = 0.95) -> np.ndarray:
    """The published seed rule in plain NumPy (golden README), independent of the kernel."""
    seed, score, at = np.zeros(len(fused), np.float32), fused[:, -1], np.flatnonzero(labels.sum(1))
    if at[0] > 0:
        hit = np.flatnonzero(score[: at[0]] >= level)
        seed[: (hit[-1] if len(hit) else np.argmax(score[: at[0]])) + 1] = 1
    if at[-1] < len(score) - 1:
        rest = score[at[-1] + 1 :]
        hit = np.flatnonzero(rest >= level)
        seed[at[-1] + 1 + (hit[0] if len(hit) else np.argmax(rest)) :] = 1
    for a, b in pairwise(at):
        inner = score[a + 1 : b]
        hit = np.flatnonzero(inner >= level)
        if len(hit) >= 2:
            seed[a + 1 + hit[0] : a + 2 + hit[-1]] = 1
        elif len(inner):
            seed[a + 1 + np.argmax(inner)] = 1
    return seed


@pytest.mark.parametrize("kind", ["lacp_loss_dense", "lacp_loss_nodense"])
def test_lacp_loss_and_gradients(golden_dir: Path, kind: str):
    for z in cases(golden_dir, kind):
        fused, features = (torch.from_numpy(z[k]).requires_grad_() for k in ("cas_fuse", "features"))
        terms = lacp_terms(
            fused,
            features,
            torch.from_numpy(z["video_score"]),
            video_label=torch.from_numpy(z["video_label"]),
            point_label=torch.from_numpy(z["point_label"]),
            background_seed=torch.from_numpy(background_seeds(z["cas_fuse"], z["point_label"])),
            sequence=None if z["dense"].ndim == 1 else z["dense"],
            temperature=float(z["tau"]),
            published_bug=True,
        )
        total = terms.total(z["lambdas"].tolist())
        total.backward()
        for value, name in zip(terms, ("vid", "frame", "frame_bkg", "score", "feat"), strict=True):
            assert float(value.detach()) == pytest.approx(float(z[f"loss_{name}"]), abs=1e-5), name
        assert float(total.detach()) == pytest.approx(float(z["loss_total"]), rel=1e-5)
        np.testing.assert_allclose(fused.grad, z["grad_cas"], atol=1e-5)
        gradient = np.zeros_like(z["features"]) if features.grad is None else features.grad
        np.testing.assert_allclose(gradient, z["grad_features"], atol=1e-5)
