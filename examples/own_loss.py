"""A loss of your own for punctum's locator: focal cross-entropy at clicks and in the middle between clicks.

    pip install 'punctum[train,export,cpu]'
    punctum data make-demo --out demo-data --count 24
    punctum train demo-data --out run --objective own_loss:Focal
    punctum export run --out bundle
    punctum eval bundle demo-data

Run this in the folder of this file, or where Python finds it. Networks, schedule, resuming, calibration and the center
scorer are those of `punctum train`; only the loss of the locator is another one.
"""

import numpy as np
import torch
from punctum.training import LocatorTask


class Focal(LocatorTask):
    """Snippets near a click have its class; the middle third of a gap between two clicks is background."""

    sharpness = 2.0

    def annotate(self, sample):
        """One-hot targets of the classes and background, and a weight, for each snippet."""
        classes = len(self.data.labels)
        rows = np.zeros((len(sample.features), classes + 2), np.float32)
        at = np.arange(len(rows))
        clicks = sample.clicks
        for start, end in zip(clicks.position[:-1], clicks.position[1:], strict=True):
            between = (at > start + (end - start) / 3) & (at < end - (end - start) / 3)
            rows[between, classes] = 1.0
            rows[between, -1] = 1.0 / max(between.sum(), 1)  # every gap counts as much as a click
        for position, label in zip(clicks.position, clicks.label, strict=True):
            near = np.abs(at - position) <= 1.0
            rows[near] = 0.0
            rows[near, label] = 1.0
            rows[near, -1] = 1.0 / near.sum()
        return rows

    def loss(self, logits, rows):
        """The terms of the loss; logits [N, C + 1, W], rows [N, W, C + 2]."""
        target, weight = rows[..., :-1].transpose(1, 2), rows[..., -1]
        p = self.module.probabilities(logits).clamp(min=1e-6)
        focal = -(target * (1 - p) ** self.sharpness * torch.log(p)).sum(dim=1)
        return {"focal": (weight * focal).sum() / weight.sum().clamp(min=1.0)}
