"""The run folder: config.json, safetensors weights, post.json, summary.json. Each file is whole or absent.

summary.json is written last and names the hashes of the others, so a folder without it, or with a file that does
not match, is no finished run and does not load.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from punctum.runtime.bundle.config import FeatureSpec, PostProcess
from punctum.runtime.errors import InputError
from punctum.runtime.files.atomic import atomic_write, sha256_file
from punctum.runtime.text.display import plain, printable
from pydantic import ValidationError
from torch import nn

from ..config import TrainConfig
from .center import ProposalHead, build_head
from .ensemble import Locator, LocatorEnsemble
from .locator import LocatorNet

SCHEMA = "punctum.run/1"
WEIGHTS, HEAD = "locator.safetensors", "center.safetensors"
SEALED = ("config.json", "post.json", WEIGHTS, HEAD)


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
        weights = load_file(path)
        module.load_state_dict(weights)
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _mismatch(path, plain(error)) from None
    for name, value in weights.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise _mismatch(path, f"{printable(name)} holds numbers that are not finite")


def check_shapes(path: Path, make: Callable[[], nn.Module]) -> None:
    """Raises InputError where the file's weights are not those of the module, before memory is taken for either."""
    from safetensors import SafetensorError, safe_open

    try:
        with torch.device("meta"):
            expected = {name: list(value.shape) for name, value in make().state_dict().items()}
        with safe_open(path, framework="pt") as file:
            found = {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no dict
    except (SafetensorError, OSError, RuntimeError, ValueError, OverflowError, TypeError) as error:
        raise _mismatch(path, plain(error)) from None
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            given, needed = found.get(name, "absent"), expected.get(name, "no such weights")
            raise _mismatch(path, f"{printable(name)}: {given}, and the configuration has {needed}")


def _mismatch(path: Path, reason: str) -> InputError:
    return InputError(
        "weights-mismatch",
        f"{path} does not hold the weights of this configuration ({reason[:300]})",
        "the file that train wrote beside config.json",
        "restore the run folder or train again",
    )


def write_json(path: Path, record: Any) -> None:
    atomic_write(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def write_summary(folder: Path, record: dict[str, Any]) -> None:
    """Seal the run: hashes of everything `load_run` reads."""
    files = {name: sha256_file(folder / name) for name in SEALED if (folder / name).is_file()}
    write_json(folder / "summary.json", {"schema": SCHEMA, **record, "files": files})


def load_run(path: str | Path) -> Run:
    """Load a run folder. Raises InputError naming the file that is missing, damaged or changed."""
    folder = Path(path)
    if not (folder / "config.json").is_file():
        inner = folder / "locator"  # of a run that began with videos
        if (inner / "config.json").is_file():
            raise InputError(
                "run-missing",
                f"{folder} is a run on videos, whose locator lies in a folder of its own",
                f"the locator's run folder, {inner}",
                f"export {inner}, or use the bundle in {folder / 'bundle'}",
            )
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
    summary, record = read_object(folder / "summary.json"), read_object(folder / "config.json")
    files = summary.get("files")
    if not isinstance(files, dict) or not {"config.json", "post.json", WEIGHTS} <= files.keys() <= set(SEALED):
        raise InputError(
            "run-damaged", f"{folder / 'summary.json'} does not name the files of a run", "hashes", "train again"
        )
    for name, digest in files.items():
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
        config = TrainConfig.model_validate(_of_earlier_versions(record["config"]))
        spec = FeatureSpec.model_validate(record["feature_spec"])
        labels = _labels(record["labels"])
        post = PostProcess.model_validate(read_object(folder / "post.json"))
        complete = summary["status"] == "complete"
        provenance = dict(record["provenance"])
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise InputError(
            "run-invalid",
            f"{folder}: {plain(error)[:300]}",
            "the files that train wrote",
            "restore the run folder or train again",
        ) from None

    def locate() -> Locator:
        return build_locator(config, dim=spec.dim, classes=len(labels))

    check_shapes(folder / WEIGHTS, locate)
    locator = locate()
    load_weights(folder / WEIGHTS, locator)
    center = None
    if config.center is not None and HEAD in files:
        head, context = config.center, max_context(config, spec.stride_s)

        def judge() -> ProposalHead:
            return build_head(head, dim=spec.dim, classes=len(labels), max_context=context)

        check_shapes(folder / HEAD, judge)
        center = judge()
        load_weights(folder / HEAD, center)
        center.eval()
    return Run(folder, config, locator.eval(), center, post, spec, labels, provenance, complete)


def _labels(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(label, str) and label for label in value):
        raise TypeError("labels are no list of names")
    if not value or len(set(value)) < len(value):
        raise ValueError("labels are not distinct names")
    "".join(value).encode()
    return tuple(value)


def _of_earlier_versions(config: Any) -> Any:
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


def digest(parts: Iterable[bytes | memoryview]) -> str:
    """sha256 over parts, each with its length, so that moved borders change it."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return total.hexdigest()


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object that training wrote. Raises InputError."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            "run-damaged", f"{path} cannot be read ({plain(error)[:300]})", "a JSON object", "train again"
        ) from None
    if not isinstance(record, dict):
        raise InputError("run-damaged", f"{path} is no JSON object", "a JSON object", "train again")
    return record
