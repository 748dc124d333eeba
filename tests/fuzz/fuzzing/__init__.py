"""Fuzzing of every reader: what a target is, and the list of all.

A target takes any bytes. It may succeed or raise PunctumError; every other exception, a wrong answer (WrongAnswer) and
a hang are findings. `mutate` changes valid input so that what is behind the first check is reached too. The targets
run in two ways: `test_readers.py` with mutations from fixed seeds, and `run.py` with atheris, guided by coverage.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Mutate = Callable[[bytes, random.Random], bytes]


class WrongAnswer(AssertionError):
    """A reader accepted its input and made something of it that cannot be."""


@dataclass(frozen=True)
class Target:
    """seeds: valid inputs, made here. run: reads one input. mutate: one changed input. cases: how many of them the
    test tries; a case of a slow reader costs more."""

    seeds: list[bytes]
    run: Callable[[bytes], object]
    mutate: Mutate
    cases: int = 150


def targets() -> dict[str, Callable[[Path], Target]]:
    """Name -> what makes the target; it is given a folder of its own."""
    from . import bundles, datasets, marks, state, streams, videos

    return {
        "manifest": bundles.manifest,
        "zip": bundles.zipped,
        "graph": bundles.graph,
        "backbone": bundles.backbone,
        "snapshot": state.snapshot,
        "checkpoint": state.checkpoint,
        "framing": streams.framing,
        "npy": streams.npy,
        "raw": streams.raw,
        "events": marks.events,
        "report-events": marks.report_events,
        "activitynet": marks.activitynet,
        "csv": marks.csv,
        "tsv": marks.tsv,
        "webvtt": marks.webvtt,
        "elan": marks.elan,
        "labelstudio": marks.labelstudio,
        "cvat": marks.cvat,
        "any-form": marks.any_form,
        "dataset": datasets.dataset,
        "points": datasets.points,
        "background": datasets.background,
        "truth": datasets.truth,
        "lists": datasets.lists,
        "recipe": datasets.recipe,
        "run-folder": datasets.run_folder,
        "detections": datasets.detections,
        "video": videos.video,
    }
