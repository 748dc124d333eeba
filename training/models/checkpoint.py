"""A finished run on disk: what its folder holds, how it is sealed, and how it is loaded.

A run folder holds config.json, the weights (safetensors), post.json and summary.json; each file is complete or absent.
summary.json is written last and lists the hashes of the others. A folder without it, or with a file that does not
match its hash, is not a finished run and does not load.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from punctum.runtime.bundle.calibration import Calibration
from punctum.runtime.bundle.config import FeatureSpec, PostProcess
from punctum.runtime.errors import InputError
from punctum.runtime.files.atomic import sha256_file
from punctum.runtime.text.display import plain
from pydantic import ValidationError

from ..config import TrainConfig
from ..records import Record, read_object, write_json
from .build import build_center, build_locator
from .center import ProposalHead
from .ensemble import Locator
from .weights import check_shapes, load_weights

SCHEMA = "punctum.run/1"
CONFIG, POST, CALIBRATION, SUMMARY = "config.json", "post.json", "calibration.json", "summary.json"
LOCATOR_WEIGHTS, CENTER_WEIGHTS = "locator.safetensors", "center.safetensors"
SEALED = (CONFIG, POST, CALIBRATION, LOCATOR_WEIGHTS, CENTER_WEIGHTS)


@dataclass(frozen=True, slots=True)
class Run:
    """A trained model on the CPU, in evaluation mode.

    Attributes:
        path: the run folder.
        config: the recipe.
        locator: the locator.
        center: the center scorer, or None.
        post: post-processing.
        calibration: from raw scores to probabilities; None for a run that was stopped, or without calibration.
        feature_spec: what the features must be.
        labels: class names, in the order of the outputs.
        provenance: data set, digests and versions.
        complete: False for a run that was stopped with Ctrl-C.
    """

    path: Path
    config: TrainConfig
    locator: Locator
    center: ProposalHead | None
    post: PostProcess
    calibration: Calibration | None
    feature_spec: FeatureSpec
    labels: tuple[str, ...]
    provenance: Record
    complete: bool

    @property
    def receptive_field(self) -> tuple[int, int]:
        """Snippets before and after a snippet that its scores depend on."""
        return self.locator.receptive_field


def seal(folder: Path, record: Record) -> None:
    """Write summary.json with the hashes of everything that `load_run` reads."""
    files = {name: sha256_file(folder / name) for name in SEALED if (folder / name).is_file()}
    write_json(folder / SUMMARY, {"schema": SCHEMA, **record, "files": files})


def load_run(path: str | Path) -> Run:
    """Load a run folder.

    Raises:
        InputError: a file is missing, damaged or was changed after training (named in the message).
    """
    folder = Path(path)
    _check_present(folder)
    summary, record = read_object(folder / SUMMARY), read_object(folder / CONFIG)
    hashes = _checked_hashes(folder, summary)
    try:
        if record["schema"] != SCHEMA or summary["schema"] != SCHEMA:
            raise InputError(
                "run-schema",
                f"{folder} has schema {record['schema']!r}",
                required=SCHEMA,
                next_step="use a matching version of punctum",
            )
        config = TrainConfig.model_validate(_without_obsolete(record["config"]))
        spec = FeatureSpec.model_validate(record["feature_spec"])
        labels = _labels(record["labels"])
        post = PostProcess.model_validate(read_object(folder / POST))
        calibration = None
        if CALIBRATION in hashes:
            calibration = Calibration.model_validate(read_object(folder / CALIBRATION))
        complete = summary["status"] == "complete"
        provenance = dict(record["provenance"])
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise InputError(
            "run-invalid",
            f"{folder}: {plain(error)[:300]}",
            required="the files that training wrote",
            next_step="restore the run folder or train again",
        ) from None

    def new_locator() -> Locator:
        return build_locator(config, dim=spec.dim, classes=len(labels))

    def new_center() -> ProposalHead:
        center = build_center(config, dim=spec.dim, classes=len(labels), stride_s=spec.stride_s)
        if center is None:
            raise RuntimeError("the recipe has no center scorer")
        return center

    check_shapes(folder / LOCATOR_WEIGHTS, new_locator)
    locator = new_locator()
    load_weights(folder / LOCATOR_WEIGHTS, locator)
    center = None
    if config.center is not None and CENTER_WEIGHTS in hashes:
        check_shapes(folder / CENTER_WEIGHTS, new_center)
        center = new_center()
        load_weights(folder / CENTER_WEIGHTS, center)
        center.eval()
    return Run(folder, config, locator.eval(), center, post, calibration, spec, labels, provenance, complete)


def _check_present(folder: Path) -> None:
    """Raise InputError unless the folder holds a run that was finished or stopped with Ctrl-C."""
    if not (folder / CONFIG).is_file():
        inner = folder / "locator"  # of a run on videos
        if (inner / CONFIG).is_file():
            raise InputError(
                "run-missing",
                f"{folder} is a run on videos, which keeps the locator in a folder of its own",
                required=f"the locator's run folder, {inner}",
                next_step=f"export {inner}, or use the bundle in {folder / 'bundle'}",
            )
        raise InputError(
            "run-missing",
            f"{folder} is not a run folder",
            required="a folder written by `punctum train`",
            next_step="check the path",
        )
    if not (folder / SUMMARY).is_file():
        raise InputError(
            "run-incomplete",
            f"{folder} has no summary.json: training was killed before it finished",
            required="a finished run",
            next_step="continue it with `punctum train ... --resume`",
        )


def _checked_hashes(folder: Path, summary: Record) -> Record:
    """The hashes in a summary by file name. Raises InputError unless they are those of the files."""
    hashes = summary.get("files")
    required = {CONFIG, POST, LOCATOR_WEIGHTS}
    if not isinstance(hashes, dict) or not required <= hashes.keys() <= set(SEALED):
        raise InputError(
            "run-damaged",
            f"{folder / SUMMARY} does not list the files of a run",
            required="their hashes",
            next_step="train again",
        )
    for name, digest in hashes.items():
        if not (folder / name).is_file() or sha256_file(folder / name) != digest:
            raise InputError(
                "run-damaged",
                f"{folder / name} is missing or is not the file that training wrote",
                required="the file whose hash summary.json lists",
                next_step="restore the file or train again",
            )
    return hashes


def _labels(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(label, str) and label for label in value):
        raise TypeError("labels is not a list of names")
    if not value or len(set(value)) < len(value):
        raise ValueError("labels is empty or names a class twice")
    "".join(value).encode()
    return tuple(value)


def _without_obsolete(config: Any) -> Any:
    """The recipe without fields that earlier versions recorded and that never had an effect."""
    if not isinstance(config, dict):
        return config
    config = copy.deepcopy(config)
    partners = config.get("partners")
    for part in (config, *(partners if isinstance(partners, list) else ())):
        objective = part.get("objective") if isinstance(part, dict) else None
        if isinstance(objective, dict) and objective.get("kind") == "lacp":
            objective.pop("budget", None)
    return config
