"""Proposals of another base locator for a run. All of them are read before the training, which can take hours."""

from __future__ import annotations

from pathlib import Path

from punctum.runtime.errors import InputError

from ..confidence.folds import fold_of_videos, without_fold
from ..config import TrainConfig
from ..data.proposals import VideoProposals, read_proposals
from ..data.videos import TrainingSet


def proposals_of(path: Path, data: TrainingSet, config: TrainConfig) -> dict[str, VideoProposals]:
    """The proposals of the videos of a run.

    Args:
        path: results of the base locator, in ActivityNet form.
        data: the training set.
        config: the recipe.

    Raises:
        InputError: the file is missing, has another form, or has no usable proposal for the videos that the center
            scorer is trained on, in the run or in one of the folds of its calibration.
    """
    if not path.is_file():
        raise InputError(
            "file-missing",
            f"{path} does not exist" if not path.exists() else f"{path} is not a file",
            required="a file in ActivityNet form",
            next_step="check `proposals`",
        )
    found = read_proposals(path, (*data.samples, *data.held_out), data.labels, stride_s=data.stride_s)
    if not _any(found, data):
        raise InputError(
            "proposals-empty",
            f"{path} has usable proposals for held-out videos only, and for none of the {len(data.samples)} others",
            required="proposals of the videos that are trained on",
            next_step="add them",
        )
    assigned = fold_of_videos(data, config.folds, seed=config.seed) if config.folds else []
    for fold in sorted(set(assigned) - {-1}):
        rest = without_fold(data, assigned, fold)
        if not _any(found, rest):
            known = sum(sample.video in found for sample in data.samples)
            raise InputError(
                "proposals-empty",
                f"{path} has usable proposals for {known} of {len(data.samples)} training videos, and the calibration "
                f"has a fold that trains on {len(rest.samples)} others",
                required="proposals of more videos, best of all",
                next_step="add them, or train with `--no-calibration`",
            )
    return found


def _any(found: dict[str, VideoProposals], data: TrainingSet) -> bool:
    return any(sample.video in found for sample in data.samples)
