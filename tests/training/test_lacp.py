from __future__ import annotations

import numpy as np
import pytest
import torch
from punctum.training.objectives.lacp import (
    SequenceSpan,
    contrast_loss,
    embed_span,
    lacp_terms,
    outer_inner,
    spans_of,
    top_mean,
)


def test_spans_reach_the_end_unless_published():
    column = np.array([0, 1, 1, 0, 1], np.float32)
    assert spans_of(column) == [
        SequenceSpan(0, 0, False),
        SequenceSpan(1, 2, True),
        SequenceSpan(3, 3, False),
        SequenceSpan(4, 4, True),
    ]
    assert spans_of(column, published_bug=True) == spans_of(column)[:3]
    assert spans_of(np.ones(5, np.float32)) == []


def test_top_mean_works_for_videos_shorter_than_eight_snippets():
    scores = torch.tensor([[0.9, 0.2], [0.1, 0.4]])
    np.testing.assert_allclose(top_mean(scores, torch.tensor([1.0, 0.0])), [0.9, 0.3], atol=1e-6)


def test_outer_inner_truncates_margins_and_stands_without_them():
    score = torch.tensor([0.0, 1.0, 1.0, 1.0, 1.0, 0.5])
    assert float(outer_inner(score, 1, 4)) == pytest.approx(1.0 - 0.25)
    assert float(outer_inner(score, 0, 5)) == pytest.approx(float(score.mean()))


def test_contrast_prefers_alike_actions():
    near = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    far = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    action = torch.tensor([True, False, True])
    assert float(contrast_loss(near, action, 0.1)) < 0.01 < float(contrast_loss(far, action, 0.1))


def test_embeddings_are_unit_vectors_drawn_inside_the_span():
    embedding = torch.arange(20.0)[:, None].repeat(1, 2) + 1
    for seed in range(5):
        vector = embed_span(embedding, 4, 5, np.random.default_rng(seed))
        np.testing.assert_allclose(vector, [2**-0.5] * 2, atol=1e-6)


def terms(sequence: np.ndarray | None, *, published: bool = False, seeds: float = 0.0, classes: int = 2):
    generator = torch.Generator().manual_seed(0)
    fused = torch.rand(12, classes + 1, generator=generator).requires_grad_()
    embedding = torch.randn(12, 4, generator=generator)
    labels = torch.zeros(12, classes)
    labels[2, 0] = labels[8, classes - 1] = 1.0
    found = lacp_terms(
        fused,
        embedding,
        torch.full((classes,), 0.6),
        video_label=torch.ones(classes),
        point_label=labels,
        background_seed=torch.full((12,), seeds),
        sequence=sequence,
        published_bug=published,
    )
    return found, fused


def test_a_video_without_background_seeds_has_no_background_loss():
    found, fused = terms(None)
    assert float(found.background.detach()) == 0.0
    found.total((1, 0.5, 1, 1, 1)).backward()
    assert bool(torch.isfinite(fused.grad).all())


def test_every_class_contrasts_and_only_the_last_one_in_the_released_code():
    a = np.array([0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 0, 0], np.float32)
    b = np.array([1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 1, 0], np.float32)
    both = np.stack([a, b], axis=1)
    of_a, _ = terms(np.stack([a, 0 * b], axis=1))
    of_b, _ = terms(np.stack([0 * a, b], axis=1))
    fixed, _ = terms(both)
    # the bug is in which classes count; compare where no span touches the end, so that only that differs
    assert fixed.feature.item() == pytest.approx((of_a.feature.item() + of_b.feature.item()) / 2, rel=1e-5)
    published, _ = terms(both, published=True)
    last, _ = terms(np.stack([0 * a, b], axis=1), published=True)
    assert published.feature.item() == pytest.approx(last.feature.item(), rel=1e-6)


def test_no_sequence_means_no_completeness():
    found, _ = terms(None)
    assert float(found.score.detach()) == 0.0 and float(found.feature.detach()) == 0.0
    constant, _ = terms(np.ones((12, 2), np.float32))
    assert float(constant.score.detach()) == 0.0
