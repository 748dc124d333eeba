"""Calibration of a run: its recipe is trained on the videos of all folds but one, and the events on the videos of that
fold are judged by their clicks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from punctum.runtime.bundle.calibration import Calibration
from punctum.runtime.bundle.config import PostProcess
from punctum.runtime.files.atomic import atomic_write
from punctum.runtime.session.plan import Plan

from ..arrays import F64
from ..confidence.choose import best_minimum, choices
from ..confidence.fit import fit_maps
from ..confidence.folds import fold_of_videos, without_fold
from ..confidence.judge import JudgedEvents, judge_recording
from ..data.videos import Sample, TrainingSet
from ..models.center import ProposalHead
from ..models.ensemble import Locator
from ..models.torch_backend import TorchBackend
from ..records import Record
from .state import damaged

TrainFold = Callable[[TrainingSet, Path], tuple[Locator, ProposalHead | None] | None]
"""Trains the networks of one fold in a folder, or returns None after a stop request."""


class Calibrator:
    """Judges events on held-out training videos, fold by fold. The result of a fold stays in its folder.

    Attributes:
        facts: what summary.json records about the calibration.
    """

    def __init__(self, data: TrainingSet, post: PostProcess, folder: Path, *, folds: int, seed: int) -> None:
        self.data, self.post, self.folder = data, post, folder
        self.assigned = fold_of_videos(data, folds, seed=seed)
        self.facts: Record = {"folds": len(set(self.assigned))}
        self._full: list[JudgedEvents] = []
        self._reduced: list[JudgedEvents] = []

    def run(self, train: TrainFold) -> bool:
        """Train and judge every fold that has not been judged yet. Returns False after a stop request."""
        for fold in range(len(set(self.assigned))):
            file = self.folder / f"fold{fold}.json"
            if not file.is_file():
                networks = train(without_fold(self.data, self.assigned, fold), self.folder / f"fold{fold}")
                if networks is None:
                    return False
                held_out = [s for s, k in zip(self.data.samples, self.assigned, strict=True) if k == fold]
                parts = self._judged(networks, held_out)
                atomic_write(file, json.dumps([_record(part) for part in parts]))
            try:
                full, reduced = (_read(part) for part in json.loads(file.read_text(encoding="utf-8")))
            except (ValueError, KeyError, TypeError) as error:
                raise damaged(file, error) from None
            self._full.append(full)
            self._reduced.append(reduced)
        return True

    def calibration(self) -> Calibration | None:
        """The maps and the default minimum; None without events that are right and events that are wrong."""
        full, reduced = JudgedEvents.joined(self._full), JudgedEvents.joined(self._reduced)
        clicks = sum(len(sample.clicks) for sample in self.data.samples)
        right = int(full.right.sum())
        self.facts |= {"events": len(full.raw), "right": right, "clicks": clicks}
        if not full.can_be_fitted:
            self.facts["calibrated"] = False
            return None
        classes = len(self.data.labels)
        maps = fit_maps(full, classes)
        scores: F64 = np.array([maps[c](x) for c, x in zip(full.label, full.raw, strict=True)])
        least = best_minimum(scores, clicks)
        hours = sum(len(s.features) for s in self.data.samples) * self.data.stride_s / 3600
        chosen = scores >= least
        self.facts |= {
            "calibrated": True,
            "min_score": least,
            "precision": round(float(full.right[chosen].mean()), 4) if chosen.any() else None,
            "recall": round(int(full.right[chosen].sum()) / max(clicks, 1), 4),
        }
        return Calibration(
            classes=tuple(each.model_copy(update={"min_score": least}) for each in maps),
            reduced=fit_maps(reduced, classes) if reduced.can_be_fitted else (),
            choices=choices(scores, full, clicks, hours),
            right_share=right / len(full.raw),
        )

    def _judged(
        self, networks: tuple[Locator, ProposalHead | None], samples: Sequence[Sample]
    ) -> tuple[JudgedEvents, JudgedEvents]:
        """The events of full and of reduced scoring."""
        locator, center = networks
        data = self.data
        backend = TorchBackend(locator, center, device=next(locator.parameters()).device.type)
        left, right = locator.receptive_field
        plan = Plan(data.labels, data.feature_dim, data.stride_s, left, right, self.post, bundle_id="")
        parts = [judge_recording(plan, backend, s.features, s.clicks, stream=s.video) for s in samples]
        return JudgedEvents.joined([full for full, _ in parts]), JudgedEvents.joined([reduced for _, reduced in parts])


def _record(part: JudgedEvents) -> Record:
    return {"label": part.label.tolist(), "raw": part.raw.tolist(), "right": part.right.tolist()}


def _read(record: Record) -> JudgedEvents:
    return JudgedEvents(
        np.array(record["label"], np.int64), np.array(record["raw"], np.float64), np.array(record["right"], bool)
    )
