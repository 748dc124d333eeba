"""The run folder before training: what it will say, and whether an existing one may be continued."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from punctum.runtime.bundle.config import FeatureSpec, Fingerprint
from punctum.runtime.errors import InputError
from punctum.runtime.files.atomic import sha256_file

from ..config import TrainConfig
from ..data.videos import TrainingSet
from ..models import checkpoint as ck


def describe(data: TrainingSet, config: TrainConfig, proposals: Path | None) -> dict[str, Any]:
    """config.json: recipe, labels, feature spec with fingerprint, provenance with a digest of features and clicks."""
    mean, std, quantiles = _statistics(data)
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
    provenance: dict[str, Any] = {
        "dataset": data.name,
        "data_sha256": ck.digest(parts),
        "versions": ck.versions(),
        "proposals_sha256": None if proposals is None else sha256_file(proposals),
    }
    return {
        "schema": ck.SCHEMA,
        "config": config.model_dump(mode="json"),
        "labels": list(data.labels),
        "feature_spec": spec.model_dump(mode="json"),
        "provenance": provenance,
    }


_QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)


def _statistics(data: TrainingSet) -> tuple[float, float, tuple[float, ...]]:
    """Mean, standard deviation and quantiles of all feature values, without a second copy in float64."""
    flat = [s.features.reshape(-1) for s in data.samples]
    count = sum(len(x) for x in flat)
    mean = sum(float(x.sum(dtype=np.float64)) for x in flat) / count
    square = 0.0
    for x in flat:
        for at in range(0, len(x), 1 << 20):
            square += float(((x[at : at + (1 << 20)].astype(np.float64) - mean) ** 2).sum())
    joined = np.concatenate(flat)
    quantiles = np.quantile(joined, _QUANTILES, overwrite_input=True)
    return mean, math.sqrt(square / count), tuple(float(q) for q in quantiles)


# In the order in which a folder loses its meaning: without a summary it does not load.
_WRITTEN = ("summary.json", "locator.safetensors", "center.safetensors", "post.json", "log.jsonl", "config.json")


def prepare(out: Path, record: dict[str, Any], *, resume: bool, fresh: bool) -> None:
    """Make the folder ready: empty for a new run, checked against `record` for a resumed one."""
    if out.exists() and not out.is_dir():
        raise InputError("out-not-folder", f"{out} is a file", "a folder, new or empty", "choose another --out")
    held = out.is_dir() and any(out.iterdir())
    if held and not made_by(out, ck.SCHEMA):
        raise InputError(
            "out-foreign", f"{out} holds other files and is no run", "a new folder", "choose another --out"
        )
    if held and fresh:
        for name in _WRITTEN:
            (out / name).unlink(missing_ok=True)
        shutil.rmtree(out / "state", ignore_errors=True)
    elif held and resume:
        _compare(ck.read_object(out / "config.json"), record, out)
        (out / "summary.json").unlink(missing_ok=True)
        for folder in (out, out / "state"):  # what a killed run was writing
            for draft in (*folder.glob(".*.safetensors.*"), *folder.glob(".*.json.*"), *folder.glob(".*.jsonl.*")):
                draft.unlink()
        return
    elif held:
        raise InputError("run-exists", f"{out} holds a run", "a new folder", "add --resume or --fresh, or change --out")
    ck.write_json(out / "config.json", record)


def _compare(old: dict[str, Any], new: dict[str, Any], out: Path) -> None:
    new = json.loads(json.dumps(new))
    for field in ("config", "labels", "provenance"):
        if old.get(field) != new[field]:
            before, after = old.get(field), new[field]
            if isinstance(before, dict):
                changed = [k for k in after if before.get(k) != after[k]]
                field = f"{field}: {', '.join(changed)}"
            raise InputError(
                "resume-differs",
                f"{out} was started with another recipe or other data ({field})",
                "the same data, seed and options as before",
                "repeat the first command with --resume, or start over with --fresh",
            )


def made_by(out: Path, schema: str) -> bool:
    """Whether a folder holds a config.json of this kind, be it damaged: many projects have a file of that name."""
    kind = schema.partition("/")[0]
    try:
        return f'"{kind}/' in (out / "config.json").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
