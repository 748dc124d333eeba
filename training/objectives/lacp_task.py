"""Trains a locator network on the LACP objective, with a sequence search every few steps."""

from __future__ import annotations

import numpy as np
import torch
from punctum import kernels
from torch import Tensor

from ..arrays import F32
from ..config import LacpObjective
from ..data.labels import snippet_labels
from ..data.videos import TrainingSet
from ..models.locator import LocatorNet
from ..records import Record
from .lacp import LacpTerms, lacp_terms, top_mean
from .point_loss import point_log_likelihood


class LacpTask:
    """One step is a batch of whole videos; videos without clicks are left out. Implements `engine.task.Task`."""

    name = "locator"

    def __init__(self, net: LocatorNet, data: TrainingSet, objective: LacpObjective, *, epochs: int, seed: int) -> None:
        self.module, self.objective, self.seed = net, objective, seed
        self.device = next(net.parameters()).device
        clicked = [s for s in data.samples if len(s.clicks)]
        # The losses of whole videos need videos that are labeled as a whole, if there are any.
        samples = [s for s in clicked if not s.partly] or clicked
        self.held_out = data.held_out
        self.points = [snippet_labels(s.clicks, snippets=len(s.features), classes=net.classes) for s in samples]
        self.videos = [net.normalise.normalized(s.features) for s in samples]
        self.sequences: list[F32 | None] = [None] * len(samples)
        self.searched = -1
        self.per_epoch = -(-len(samples) // objective.batch)
        self.steps = epochs * self.per_epoch
        self.describe: Record = {
            "videos": len(samples),
            "videos_without_clicks": len(data.samples) - len(samples),
        }

    def step_loss(self, step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        self._search(step)
        epoch, part = divmod(step, self.per_epoch)
        order = np.random.default_rng([self.seed, 3, epoch]).permutation(len(self.videos))
        chosen = np.array_split(order, self.per_epoch)[part]
        total = torch.zeros((), device=self.device)
        sums = dict.fromkeys(LacpTerms._fields, 0.0)
        for index in chosen.tolist():
            for terms in self._terms(index, rng):
                total = total + terms.total(self.objective.weights) / len(chosen)
                for name, value in terms._asdict().items():
                    sums[name] += float(value.detach()) / len(chosen)
        return total, sums

    def criterion(self) -> float:
        """Mean log-probability at clicks and background of the held-out training videos; needs clicks only."""
        return point_log_likelihood(self.module, self.held_out, share=0.4)

    def extra_state(self) -> dict[str, Tensor]:
        state = {
            f"sequence{i}": torch.from_numpy(s.astype(np.uint8)) for i, s in enumerate(self.sequences) if s is not None
        }
        return state | {"searched": torch.tensor(self.searched)}

    def load_extra_state(self, state: dict[str, Tensor]) -> None:
        for i in range(len(self.sequences)):
            stored = state.get(f"sequence{i}")
            if stored is not None and tuple(stored.shape) != self.points[i].shape:
                raise ValueError("a sequence does not fit its video")
            self.sequences[i] = None if stored is None else stored.numpy().astype(np.float32)
        self.searched = int(state["searched"])

    def _terms(self, index: int, rng: np.random.Generator) -> list[LacpTerms]:
        """Terms of one video for every member of the network."""
        objective, net = self.objective, self.module
        labels = self.points[index]
        point_label = torch.from_numpy(labels).to(self.device)
        video_label = (point_label.sum(0) > 0).to(point_label.dtype)
        out = net.whole(self.videos[index])
        results = []
        for logits, embedding in zip(out.logits[:, 0], out.embedding[:, 0], strict=True):
            fused = net.probabilities(logits).T  # [T, C+1]
            raw = torch.sigmoid(logits).T if net.config.output == "sigmoid" else fused
            _, background = kernels.select_seeds(
                fused.detach().cpu().numpy(),
                labels,
                action_threshold=objective.action_threshold,
                background_threshold=objective.background_threshold,
            )
            results.append(
                lacp_terms(
                    fused,
                    embedding.T,
                    top_mean(raw[:, : net.classes], video_label),
                    video_label=video_label,
                    point_label=point_label,
                    background_seed=torch.from_numpy(np.asarray(background, np.float32)).to(self.device),
                    sequence=self.sequences[index],
                    temperature=objective.temperature,
                    published_bug=objective.published_bug,
                    rng=rng,
                )
            )
        return results

    def _search(self, step: int) -> None:
        """Search the optimal sequence of action and background of every training video under the current weights."""
        objective, net = self.objective, self.module
        if step == 0 or step % objective.search_every or self.searched == step:
            return
        net.eval()
        with torch.no_grad():
            for index, video in enumerate(self.videos):
                fused = net.probabilities(net.whole(video).logits).mean(0)[0].T.cpu().numpy()
                action, background = kernels.select_seeds(
                    fused,
                    self.points[index],
                    action_threshold=objective.action_threshold,
                    background_threshold=objective.background_threshold,
                )
                sequence, _ = kernels.search_sequence(fused, action, background)
                self.sequences[index] = np.asarray(sequence, np.float32)
        net.train()
        self.searched = step
