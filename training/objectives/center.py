"""The proposal-level objective: point loss and saliency loss (TSPNet), with our changes as switches."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as fn

from ..config import CenterObjective
from ..models.center import HeadLogits


def ptal_loss(
    z: HeadLogits, classes: Tensor, center: Tensor, rule: CenterObjective, *, has_attention: bool = True
) -> tuple[Tensor, dict[str, Tensor]]:
    """Total loss of M proposals and its terms.

    classes [M, C] multi-hot (a row of zeros is background), center [M] labels. Published: the point loss is
    -mean_m sum_c y_c log softmax(classes * sigmoid(attention))_c with unnormalised rows. Without
    `inside_logits` attention has a loss of its own: does the proposal hold a click?
    """
    background = (classes.sum(1, keepdim=True) == 0).to(classes.dtype)
    y = torch.cat([classes, background], dim=1)
    if rule.normalise_rows:
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
