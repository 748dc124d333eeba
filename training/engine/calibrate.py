"""Calibration of a run: its recipe is trained on the videos of all folds but one, and the events on the videos of that
fold are judged by their clicks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from punctum.runtime.bundle.calibration import Calibration
from punctum.runtime.bundle.config import PostProcess
from punctum.runtime.diagnosis.held_out import HeldOutVideo
from punctum.runtime.files.atomic import atomic_write
from punctum.runtime.localizer import Localizer
from punctum.runtime.session.post import reduce_scoring

from ..arrays import F64
from ..confidence.choose import best_minimum, choices
from ..confidence.fit import fit_maps
from ..confidence.folds import fold_of_videos, without_fold
from ..confidence.judge import JudgedEvents, judge
from ..data.pseudo import align_clicks
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
        held_out: the events on each training video, from networks that have not seen it, with raw scores.
    """

    def __init__(self, data: TrainingSet, post: PostProcess, folder: Path, *, folds: int, seed: int) -> None:
        self.data, self.post, self.folder = data, post, folder
        self.assigned = fold_of_videos(data, folds, seed=seed)
        self.facts: Record = {"folds": len(set(self.assigned))}
        self._full: list[JudgedEvents] = []
        self._reduced: list[JudgedEvents] = []
        self.held_out: dict[str, HeldOutVideo] = {}

    def run(self, train: TrainFold) -> bool:
        """Train and judge every fold that has not been judged yet. Returns False after a stop request."""
        for fold in range(len(set(self.assigned))):
            file = self.folder / f"fold{fold}.json"
            if not file.is_file():
                networks = train(without_fold(self.data, self.assigned, fold), self.folder / f"fold{fold}")
                if networks is None:
                    return False
                held_out = [s for s, k in zip(self.data.samples, self.assigned, strict=True) if k == fold]
                *parts, found = self._judged(networks, held_out, fold)
                videos = {video: each.to_record() for video, each in found.items()}
                atomic_write(file, json.dumps({"judged": [_record(part) for part in parts], "videos": videos}))
            try:
                record = json.loads(file.read_text(encoding="utf-8"))
                full, reduced = (_read(part) for part in record["judged"])
                self.held_out |= {v: HeldOutVideo.of_record(each) for v, each in record["videos"].items()}
            except (ValueError, KeyError, TypeError, AttributeError) as error:
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
        if right == 0 or right == len(full.raw):
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
        any_reduced = 0 < int(reduced.right.sum()) < len(reduced.raw)
        return Calibration(
            classes=tuple(each.model_copy(update={"min_score": least}) for each in maps),
            reduced=fit_maps(reduced, classes) if any_reduced else (),
            choices=choices(scores, full, clicks, hours),
            right_share=right / len(full.raw),
        )

    def _judged(
        self, networks: tuple[Locator, ProposalHead | None], samples: Sequence[Sample], fold: int
    ) -> tuple[JudgedEvents, JudgedEvents, dict[str, HeldOutVideo]]:
        """The judged events of full and of reduced scoring, and the events of full scoring by video."""
        locator, center = networks
        data = self.data
        backend = TorchBackend(locator, center, device=next(locator.parameters()).device.type)
        full: list[JudgedEvents] = []
        reduced: list[JudgedEvents] = []
        found: dict[str, HeldOutVideo] = {}
        for post, parts in ((self.post, full), (reduce_scoring(self.post), reduced)):
            localizer = Localizer.from_parts(
                backend,
                labels=data.labels,
                dim=data.feature_dim,
                stride_s=data.stride_s,
                post=post,
                receptive_field=locator.receptive_field,
            )
            for sample in samples:
                events = localizer.localize(sample.features, stream=sample.video)
                if parts is full:
                    duration_s = len(sample.features) * data.stride_s
                    found[sample.video] = HeldOutVideo.of_events(events, data.labels, fold=fold, duration_s=duration_s)
                clicks = sample.clicks
                times = (clicks.position + 0.5) * data.stride_s
                class_track, actionness = backend.locate(sample.features)
                tracks = np.concatenate([class_track, actionness[:, None]], axis=1)
                pseudo = (align_clicks(tracks, clicks) + 0.5) * data.stride_s
                parts.append(judge(events, data.labels, clicks.label, times, pseudo))
        return JudgedEvents.joined(full), JudgedEvents.joined(reduced), found


def _record(part: JudgedEvents) -> Record:
    return {"label": part.label.tolist(), "raw": part.raw.tolist(), "right": part.right.tolist()}


def _read(record: Record) -> JudgedEvents:
    return JudgedEvents(
        np.array(record["label"], np.int64), np.array(record["raw"], np.float64), np.array(record["right"], bool)
    )
