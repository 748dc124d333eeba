"""Center score learning (CSL): point loss and saliency loss of TSPNet, with our changes as switches."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as fn

from ..config import CenterObjective
from ..models.center import HeadLogits


def csl_loss(
    z: HeadLogits, classes: Tensor, center: Tensor, rule: CenterObjective, *, has_attention: bool = True
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of M proposals (TSPNet, Xia et al., CVPR 2024; docs/method/tspnet.md, "Losses").

    The published point loss is -mean_m sum_c y_c log softmax(classes * sigmoid(attention))_c, without normalizing the
    rows of y. Without `inside_logits`, attention is trained by a loss of its own: does the proposal contain a click?

    Args:
        z: logits of the head.
        classes: multi-hot labels [M, C]; a row of zeros is background.
        center: center labels [M].
        rule: the recipe's objective.
        has_attention: whether the head has an attention output.

    Returns:
        The total, and its terms before weighting.
    """
    background = (classes.sum(1, keepdim=True) == 0).to(classes.dtype)
    y = torch.cat([classes, background], dim=1)
    if rule.normalize_rows:
        y = y / y.sum(1, keepdim=True)
    attention = torch.sigmoid(z.attention)
    logits = z.classes * attention[:, None] if rule.inside_logits else z.classes
    terms = {
        "point": -(y * torch.log_softmax(logits, dim=1)).sum(1).mean(),
        "saliency": ((torch.sigmoid(z.center) - center) ** 2).mean(),
    }
    total = terms["point"] + rule.saliency_weight * terms["saliency"]
    if has_attention and not rule.inside_logits:
        terms["attention"] = fn.binary_cross_entropy_with_logits(z.attention, 1.0 - background[:, 0])
        total = total + terms["attention"]
    return total, terms
