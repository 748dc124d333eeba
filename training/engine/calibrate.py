"""Calibration of a run: its recipe is trained on the videos of all folds but one, and the events on the videos of that
fold are judged by their clicks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from punctum.runtime.bundle.calibration import Calibration
from punctum.runtime.bundle.config import PostProcess
from punctum.runtime.diagnosis.held_out import HeldOut, HeldOutVideo
from punctum.runtime.files.atomic import atomic_write
from punctum.runtime.session.plan import Plan

from ..arrays import F64
from ..confidence.choose import choices, default_minimum
from ..confidence.fit import fit_maps
from ..confidence.folds import fold_of_videos, unjudged_classes, without_fold
from ..confidence.judge import (
    JudgedEvents,
    ScoredRecording,
    judge_recordings,
    pseudo_segments,
    score_recording,
)
from ..data.videos import Sample, TrainingSet
from ..models.center import ProposalHead
from ..models.ensemble import Locator
from ..models.repeated_backend import RepeatedBackend
from ..models.torch_backend import TorchBackend
from ..records import Record
from .fold_result import FoldResult
from .post import choose_settings
from .state import damaged

TrainFold = Callable[[TrainingSet, Path], tuple[Locator, ProposalHead | None] | None]
"""Trains the networks of one fold in a folder, or returns None after a stop request."""


class Calibrator:
    """Judges events on held-out training videos, fold by fold. The result of a fold stays in its folder.

    Attributes:
        post: the settings of post-processing; after `run`, those that were chosen.
        facts: what summary.json records about the calibration.
        held_out: the events on each training video, from networks that have not seen it, with raw scores.
    """

    def __init__(
        self, data: TrainingSet, settings: Sequence[PostProcess], folder: Path, *, folds: int, seed: int
    ) -> None:
        """settings: of post-processing, to choose from; the first one is taken where no other is better."""
        self.data, self.settings, self.folder = data, tuple(settings), folder
        self.post = self.settings[0]
        self.seed = seed
        self.assigned = fold_of_videos(data, folds, seed=seed)
        self.folds = len(set(self.assigned) - {-1})
        self.facts: Record = {"folds": self.folds}
        self.held_out: dict[str, HeldOutVideo] = {}
        self._full: list[JudgedEvents] = []
        self._reduced: list[JudgedEvents] = []

    def run(self, train: TrainFold) -> bool:
        """Train and judge every fold that has not been judged yet, and choose the post-processing. Returns False after
        a stop request."""
        folds: list[list[FoldResult]] = []
        for fold in range(self.folds):
            file = self.folder / f"fold{fold}.json"
            if not file.is_file():
                networks = train(without_fold(self.data, self.assigned, fold), self.folder / f"fold{fold}")
                if networks is None:
                    return False
                held_out = [s for s, k in zip(self.data.samples, self.assigned, strict=True) if k == fold]
                results = self._judged(networks, held_out, fold)
                atomic_write(file, json.dumps([result.to_record() for result in results]))
            try:
                records = json.loads(file.read_text(encoding="utf-8"))
                results = [FoldResult.of_record(each) for each in records]
                if len(results) != len(self.settings):
                    raise ValueError(f"{len(results)} results, {len(self.settings)} expected")
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise damaged(file, error, next_step=f"remove {file.name}, and its fold is judged again") from None
            folds.append(results)
        if folds:
            every = [
                HeldOut(self.data.labels, {v: each for results in folds for v, each in results[k].videos.items()}, None)
                for k in range(len(self.settings))
            ]
            groups = {sample.video: sample.group for sample in self.data.samples if sample.group}
            chosen, compared = choose_settings(self.settings, every, groups=groups, seed=self.seed)
            self.post = self.settings[chosen]
            self.facts["post_processing"] = compared
            for results in folds:
                result = results[chosen]
                self.held_out |= result.videos
                self._full.append(result.full)
                self._reduced.append(result.reduced)
        return True

    def calibration(self) -> Calibration | None:
        """The maps and the default minimum; None without events that are right and events that are wrong."""
        left_out = unjudged_classes(self.data, self.assigned) if self.folds else frozenset()
        full = JudgedEvents.joined(self._full).without(left_out)
        reduced = JudgedEvents.joined(self._reduced).without(left_out)
        judged = [s for s, k in zip(self.data.samples, self.assigned, strict=True) if k >= 0] if self.folds else []
        clicks = sum(int(label) not in left_out for sample in judged for label in sample.clicks.label)
        if left_out:
            self.facts["unjudged_classes"] = [self.data.labels[label] for label in sorted(left_out)]
        right = int(full.right.sum())
        self.facts |= {"events": len(full.raw), "right": right, "clicks": clicks}
        if not full.can_be_fitted:
            self.facts["calibrated"] = False
            return None
        classes = len(self.data.labels)
        maps = fit_maps(full, classes)
        scores: F64 = np.array([maps[c](x) for c, x in zip(full.label, full.raw, strict=True)])
        least = default_minimum(scores, clicks)
        hours = sum(len(s.features) for s in judged) * self.data.stride_s / 3600
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
            hours=hours,
            clicks=clicks,
        )

    def _judged(
        self, networks: tuple[Locator, ProposalHead | None], samples: Sequence[Sample], fold: int
    ) -> list[FoldResult]:
        """The result of the fold with each of the settings."""
        locator, center = networks
        data = self.data
        engine = TorchBackend(locator, center, device=next(locator.parameters()).device.type)
        left, right = locator.receptive_field
        plans = [
            Plan(data.labels, data.feature_dim, data.stride_s, left, right, post, bundle_id="")
            for post in self.settings
        ]
        scored: list[list[ScoredRecording]] = [[] for _ in plans]
        backend = RepeatedBackend(engine)
        for sample in samples:
            backend.forget()
            for plan, recordings in zip(plans, scored, strict=True):
                recordings.append(score_recording(plan, backend, sample.features, sample.clicks, stream=sample.video))
        results = []
        for plan, recordings in zip(plans, scored, strict=True):
            full, reduced = judge_recordings(plan, recordings)
            pseudo = pseudo_segments(recordings, data.stride_s)
            videos = {
                sample.video: HeldOutVideo.of_events(
                    recording.events,
                    data.labels,
                    fold=fold,
                    duration_s=len(sample.features) * data.stride_s,
                    segments=[(int(c), *span) for c, span in zip(sample.clicks.label, spans.tolist(), strict=True)],
                )
                for sample, recording, spans in zip(samples, recordings, pseudo, strict=True)
            }
            results.append(FoldResult(full, reduced, videos))
        return results
