"""What config.json of a run records: the recipe, and what identifies the data that it was trained on."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
from punctum.runtime.bundle.config import QUANTILES, FeatureSpec, Fingerprint
from punctum.runtime.datasets.known import video_digests
from punctum.runtime.errors import InputError
from punctum.runtime.files.atomic import sha256_file

from ..config import TrainConfig
from ..data.videos import TrainingSet
from ..models.checkpoint import SCHEMA, load_run
from ..records import Record, digest, versions

_BLOCK = 1 << 20  # values converted to float64 at a time


def describe(data: TrainingSet, config: TrainConfig, proposals: Path | None) -> Record:
    """The record of a run: recipe, labels, feature spec with fingerprint, and digests of features and clicks.

    Args:
        data: the training set.
        config: the recipe.
        proposals: result file of another base locator, or None.
    """
    mean, std, quantiles = feature_statistics(data)
    spec = FeatureSpec(
        dim=data.feature_dim,
        stride_s=data.stride_s,
        fingerprint=Fingerprint(mean=mean, std=std, quantiles=quantiles),
    )
    parts: list[bytes | memoryview] = []
    for sample in (*data.samples, *data.held_out):
        clicks, features = sample.clicks, np.ascontiguousarray(sample.features).reshape(-1)
        parts += [
            os.fsencode(sample.video),
            features.view(np.uint8).data,
            clicks.position.tobytes(),
            clicks.label.tobytes(),
        ]
        if sample.background or sample.partly:
            parts.append(repr((sample.background, sample.partly)).encode())
        if sample.group:  # decides which videos are held out together
            parts.append(b"\0" + sample.group.encode())
        parts += [np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data for rows in sample.copies]
    provenance: Record = {
        "dataset": data.name,
        "data_sha256": digest(parts),
        "training_videos": video_digests(data.name, (sample.video for sample in (*data.samples, *data.held_out))),
        "versions": versions(),
        "proposals_sha256": None if proposals is None else sha256_file(proposals),
    }
    return {
        "schema": SCHEMA,
        "config": config.model_dump(mode="json"),
        "labels": list(data.labels),
        "feature_spec": spec.model_dump(mode="json"),
        "provenance": provenance,
    }


def check_same_locator(run: Path, record: Record) -> None:
    """Raise InputError unless training with this record would train the locator of a finished run again."""
    other = load_run(run)
    config = TrainConfig.model_validate(record["config"])
    same = (config.seed, config.networks) == (other.config.seed, other.config.networks)
    data = (record["labels"], record["provenance"]["data_sha256"])
    if not (same and other.complete and data == (list(other.labels), other.provenance.get("data_sha256"))):
        raise InputError(
            "locator-differs",
            f"{run} has another locator: its recipe, seed or data are others, or its training was stopped",
            "a finished run with the same seed, data and locator recipe",
            "leave `locator` out",
        )


def feature_statistics(data: TrainingSet) -> tuple[float, float, tuple[float, ...]]:
    """Mean, standard deviation and quantiles of all feature values, without a second copy in float64."""
    flat = [s.features.reshape(-1) for s in data.samples]
    count = sum(len(x) for x in flat)
    mean = sum(float(x.sum(dtype=np.float64)) for x in flat) / count
    square = 0.0
    for x in flat:
        for at in range(0, len(x), _BLOCK):
            square += float(((x[at : at + _BLOCK].astype(np.float64) - mean) ** 2).sum())
    quantiles = np.quantile(np.concatenate(flat), QUANTILES, overwrite_input=True)
    return mean, math.sqrt(square / count), tuple(float(q) for q in quantiles)
