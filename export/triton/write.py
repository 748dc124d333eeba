"""Write a model repository, as a whole or not at all, and only over an earlier repository of punctum."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from punctum.runtime import Localizer
from punctum.runtime.bundle.precision import REFERENCE, Part
from punctum.runtime.errors import InputError
from punctum.runtime.files.atomic import atomic_folder

from . import client
from ._config import FORMAT, LABELS, QUEUE_US, VERSION, config_text
from ._models import Model, read_model
from ._readme import readme_text

if TYPE_CHECKING:
    from punctum.runtime import Bundle
    from punctum.runtime.session.engine import Backend, Shape

MARKER = "punctum.json"  # a file beside the models, which servers ignore
DEVICES = ("cpu", "cuda")
MAX_INSTANCES = 256


def write_triton(
    bundle: Bundle,
    out: str | Path,
    *,
    precision: str = REFERENCE,
    device: str = "cpu",
    instances: int = 1,
    name: str | None = None,
    queue_us: int = QUEUE_US,
    replace: bool = False,
) -> list[str]:
    """Write a model repository. Every warm-up is run here first.

    Args:
        bundle: the bundle.
        out: folder of the repository.
        precision: variant of the bundle to serve.
        device: on which the server runs the graphs, "cpu" or "cuda".
        instances: per model, each with one thread.
        name: of the models; by default that of the bundle.
        queue_us: microseconds that a request waits for others to share its run.
        replace: replace an earlier repository of punctum, never anything else.

    Returns:
        Names of the models: NAME_locator, NAME_center, NAME_backbone.

    Raises:
        InputError: an option is out of range, the variant is made for other devices, `out` exists, or a server cannot
            run a graph.
        MissingDependencyError: ONNX Runtime is not installed.
    """
    out = Path(out)
    _check_options(device, instances, queue_us)
    bundle.check_precision(precision)
    _check_target(bundle, precision, device)
    _check_free(out, replace)
    models = _read_models(bundle, precision, name or bundle.manifest.name)
    files = _files(bundle, models, precision=precision, device=device, instances=instances, queue_us=queue_us)
    with atomic_folder(out, replace=replace) as draft:
        for path, data in files.items():
            target = draft / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    return [model.name for model in models]


def _check_options(device: str, instances: int, queue_us: int) -> None:
    if device not in DEVICES:
        raise InputError(
            "device-unknown", f"{device!r} is not a device of a server", ", ".join(DEVICES), "set `device`"
        )
    if not 1 <= instances <= MAX_INSTANCES:
        raise InputError("triton-instances", f"`instances` is {instances}", f"1 to {MAX_INSTANCES}", "set `instances`")
    if not 0 <= queue_us <= 10_000_000:
        raise InputError("triton-queue", f"`queue_us` is {queue_us}", "0 to 10,000,000 microseconds", "set `queue_us`")


def _check_target(bundle: Bundle, precision: str, device: str) -> None:
    """Raise InputError for a variant that was made and measured for other devices."""
    targets = [] if precision == REFERENCE else list(bundle.manifest.precision[precision].targets)
    if targets and device not in targets:
        records = bundle.manifest.precision.items()
        fitting = [REFERENCE, *(n for n, r in records if n != REFERENCE and device in r.targets)]
        raise InputError(
            "triton-target",
            f"{precision} is made for {', '.join(targets)}, and the server would run it on {device}",
            f"on {device}: {', '.join(fitting)}",
            "choose another `precision` or `device`",
        )


def _check_free(out: Path, replace: bool) -> None:
    """Raise InputError unless `out` is new, empty, or an earlier repository that may be replaced."""
    if not out.exists() and not out.is_symlink():
        return
    if out.is_dir() and not out.is_symlink():
        if not any(out.iterdir()):
            return
        if _is_repository(out):
            if replace:
                return
            raise InputError(
                "output-exists", f"{out} already exists", "a new folder", "choose another, or set `replace`"
            )
    raise InputError(
        "output-exists",
        f"{out} exists and is not a model repository of punctum",
        "a new folder, or an earlier repository with `replace`",
        "choose another: a server takes several repositories, each with its own --model-repository",
    )


def _is_repository(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / MARKER).read_bytes())["kind"] == "triton-repository")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _read_models(bundle: Bundle, precision: str, name: str) -> list[Model]:
    from punctum.runtime.backends.onnxruntime.session import open_session
    from punctum.runtime.backends.open import open_backend

    backend = open_backend(bundle, precision=precision)  # checks the graphs against the manifest
    shapes = _shapes(bundle, backend)
    parts: list[Part] = ["locator", "center", "backbone"]
    models = []
    for part in parts:
        if getattr(bundle.manifest, part) is None:
            continue
        graph = bundle.graph(part, precision)
        session = open_session(graph, f"the {part} of {bundle.source}", purpose="writing a model repository")
        models.append(read_model(client.model_name(name, part), part, graph, session, shapes))
    return models


def _shapes(bundle: Bundle, backend: Backend) -> list[Shape]:
    """Shapes of the runs of a stream, with and without early reports."""
    from punctum.runtime.live import LiveOptions
    from punctum.runtime.warmup import stream_shapes

    localizer = Localizer.around(backend, bundle)
    options = (None, LiveOptions(max_delay_s=1.0))
    return list(dict.fromkeys(shape for live in options for shape in stream_shapes(localizer, live)))


def _files(
    bundle: Bundle, models: list[Model], *, precision: str, device: str, instances: int, queue_us: int
) -> dict[str, bytes]:
    """Content of the repository by relative path."""
    labels = "".join(" ".join(label.split()) + "\n" for label in bundle.labels)
    files = {}
    for model in models:
        text = config_text(
            model, bundle=bundle.id, precision=precision, device=device, instances=instances, queue_us=queue_us
        )
        files[f"{model.name}/config.pbtxt"] = text.encode()
        files[f"{model.name}/{VERSION}/model.onnx"] = model.graph
        if any(t.columns_are_labels for t in model.outputs):
            files[f"{model.name}/{LABELS}"] = labels.encode()
    facts = {
        "kind": "triton-repository",
        "format": FORMAT,
        "bundle": bundle.id,
        "sha256": bundle.sha256,
        "precision": precision,
        "device": device,
        "models": {model.part: model.name for model in models},
    }
    files[MARKER] = (json.dumps(facts, indent=2) + "\n").encode()
    files["README.md"] = readme_text(bundle, models, precision=precision, device=device).encode()
    files["client.py"] = Path(client.__file__).read_bytes()
    return files
