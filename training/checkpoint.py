"""The run folder: config.json, safetensors weights, post.json, summary.json. Each file is whole or absent.

summary.json is written last and names the hashes of the others, so a folder without it, or with a file that does
not match, is no finished run and does not load.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from punctum.runtime._files import atomic_write, sha256_file
from punctum.runtime._text import plain
from punctum.runtime.config import FeatureSpec, PostProcess
from punctum.runtime.errors import InputError
from pydantic import ValidationError
from torch import nn

from .config import TrainConfig
from .modules.center import ProposalHead, build_head
from .modules.ensemble import Locator, LocatorEnsemble
from .modules.locator import LocatorNet

SCHEMA = "punctum.run/1"


@dataclass(frozen=True, slots=True)
class Run:
    """A trained model on the CPU, in eval mode. `complete` is False for a run stopped with Ctrl-C."""

    path: Path
    config: TrainConfig
    locator: Locator
    center: ProposalHead | None
    post: PostProcess
    feature_spec: FeatureSpec
    labels: tuple[str, ...]
    provenance: dict[str, Any]
    complete: bool

    @property
    def receptive_field(self) -> tuple[int, int]:
        return self.locator.receptive_field


def save_weights(path: Path, module: nn.Module) -> None:
    from safetensors.torch import save

    atomic_write(path, save({k: v.detach().cpu().contiguous().clone() for k, v in module.state_dict().items()}))


def load_weights(path: Path, module: nn.Module) -> None:
    """Raises InputError for a file that is damaged or belongs to another configuration."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        module.load_state_dict(load_file(path))
    except (SafetensorError, OSError, RuntimeError) as error:
        raise InputError(
            "weights-mismatch",
            f"{path} does not hold the weights of this configuration ({plain(error)[:200]})",
            "the file that train wrote beside config.json",
            "restore the run folder or train again",
        ) from None


def write_json(path: Path, record: Any) -> None:
    atomic_write(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def write_summary(folder: Path, record: dict[str, Any]) -> None:
    """Seal the run: hashes of everything `load_run` reads."""
    names = ("config.json", "post.json", "locator.safetensors", "center.safetensors")
    files = {name: sha256_file(folder / name) for name in names if (folder / name).is_file()}
    write_json(folder / "summary.json", {"schema": SCHEMA, **record, "files": files})


def load_run(path: str | Path) -> Run:
    """Load a run folder. Raises InputError naming the file that is missing, damaged or changed."""
    folder = Path(path)
    if not (folder / "config.json").is_file():
        raise InputError(
            "run-missing", f"{folder} is no run folder", "a folder made by `punctum train`", "check the path"
        )
    if not (folder / "summary.json").is_file():
        raise InputError(
            "run-incomplete",
            f"{folder} has no summary.json: its training was killed before it ended",
            "a finished run",
            "continue it with `punctum train ... --resume`",
        )
    summary, record = _read(folder / "summary.json"), _read(folder / "config.json")
    for name, digest in dict(summary.get("files", {})).items():
        if not (folder / name).is_file() or sha256_file(folder / name) != digest:
            raise InputError(
                "run-damaged",
                f"{folder / name} is missing or is not the file that training wrote",
                "the hash in summary.json",
                "restore the file or train again",
            )
    try:
        if record["schema"] != SCHEMA or summary["schema"] != SCHEMA:
            raise InputError(
                "run-schema", f"{folder} has schema {record['schema']!r}", SCHEMA, "use a matching punctum"
            )
        config = TrainConfig.model_validate(record["config"])
        spec = FeatureSpec.model_validate(record["feature_spec"])
        labels = tuple(record["labels"])
        post = PostProcess.model_validate(_read(folder / "post.json"))
        complete = summary["status"] == "complete"
        files = set(summary["files"])
        provenance = dict(record["provenance"])
    except (KeyError, TypeError, ValidationError) as error:
        raise InputError(
            "run-invalid", f"{folder}: {plain(error)[:200]}", "the files that train wrote", "train again"
        ) from None
    locator = build_locator(config, dim=spec.dim, classes=len(labels))
    load_weights(folder / "locator.safetensors", locator)
    center = None
    if config.center is not None and "center.safetensors" in files:
        center = build_head(
            config.center, dim=spec.dim, classes=len(labels), max_context=max_context(config, spec.stride_s)
        )
        load_weights(folder / "center.safetensors", center)
        center.eval()
    return Run(folder, config, locator.eval(), center, post, spec, labels, provenance, complete)


def build_locator(config: TrainConfig, *, dim: int, classes: int) -> Locator:
    """The networks of the recipe, untrained."""
    nets = [LocatorNet(recipe.locator, dim=dim, classes=classes) for recipe in config.networks]
    return LocatorEnsemble(nets) if len(nets) > 1 else nets[0]


def max_context(config: TrainConfig, stride_s: float) -> float:
    """Bound of the pooling context in snippets: the same number in training, offline and live."""
    seconds = config.post.right_context_s
    if config.center is not None and config.center.max_context_s is not None:
        seconds = min(seconds, config.center.max_context_s)
    return seconds / stride_s


def versions() -> dict[str, str]:
    from punctum.runtime._version import __version__

    return {"punctum": __version__, "torch": str(torch.__version__)}


def digest(parts: list[bytes]) -> str:
    """sha256 over parts, each with its length, so that moved borders change it."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return total.hexdigest()


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError("run-damaged", f"{path} cannot be read ({error})", "a JSON object", "train again") from None
    if not isinstance(record, dict):
        raise InputError("run-damaged", f"{path} is no JSON object", "a JSON object", "train again")
    return record
