"""Learn a backbone into a folder: backbone.onnx, backbone.json (its spec), summary.json, log.jsonl. Resumable."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from punctum.runtime.datasets.dataset import Point
from punctum.runtime.errors import InputError
from punctum.runtime.files.atomic import atomic_write
from punctum.runtime.text.display import as_utf8, counted, plain

from ..data.labels import locate_clicks
from ..engine.loop import run_stage
from ..engine.report import Reporter
from ..engine.run_folder import made_by
from ..engine.selection import BestKeeper
from ..engine.stop import StopSignal, TrainingInterrupted
from ..engine.threads import training_threads
from ..models import checkpoint as ck
from .config import BackboneConfig
from .frames import FrameStore, Stretch
from .net import BackboneNet
from .task import BackboneModule, BackboneTask, ClickedStretch

SCHEMA = "punctum.backbone/1"
SHIPPED = Path(str(resources.files("punctum.runtime"))) / "assets" / "motion.safetensors"
"""What benchmarks/make_default_bundle.py learned from procedural videos: where training starts."""
WEIGHTS = "weights.safetensors"
_WRITTEN = ("summary.json", "backbone.json", "backbone.onnx", WEIGHTS, "log.jsonl", "config.json")


@dataclass(frozen=True, slots=True)
class Footage:
    """What to learn from. videos: id -> file. points: clicks by video; None: nobody clicked, unlabelled footage."""

    name: str
    videos: Mapping[str, Path]
    labels: tuple[str, ...] = ()
    points: Mapping[str, Sequence[Point]] | None = None


def train_backbone(
    footage: Footage,
    config: BackboneConfig,
    out: Path,
    *,
    resume: bool = False,
    fresh: bool = False,
    quiet: bool = False,
    frames: Path | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Learn a backbone from `footage` into the folder `out` and return the summary.

    frames: where prepared frames are kept (and found again); by default in the folder's state, until it is done.
    threads: of torch; 0: what the first steps favour; None: as torch is set. Raises InputError for an existing folder
    without `resume` or `fresh`, for videos that cannot be read, and for too little footage; TrainingInterrupted (exit
    code 130) after Ctrl-C, with a folder that --resume continues.
    """
    if not footage.videos:
        raise InputError("videos-missing", f"{footage.name} holds no video", "at least one video", "check the path")
    record = _describe(footage, config)
    if _prepare(out, record, resume=resume, fresh=fresh):
        return ck.read_object(out / "summary.json")
    began = time.monotonic()
    store = FrameStore(out / "state" / "frames" if frames is None else frames, config.spec())
    with StopSignal() as stop, training_threads(threads) as fixed:
        reporter = Reporter(out / "log.jsonl", quiet=quiet)
        parts = _read(footage, store, reporter, stop)
        read_s = time.monotonic() - began
        classes = len(footage.labels) if footage.points is not None else 0
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            module = BackboneModule(config, classes)
        if config.start == "shipped":
            load_weights(module.net, SHIPPED)
        task = BackboneTask(module, parts, classes, config)
        result = run_stage(
            task,
            config.optim,
            seed=config.seed,
            state_file=out / "state" / "backbone.safetensors",
            save_every=config.save_every,
            keeper=BestKeeper("last", 1),
            reporter=reporter,
            stop=stop,
            measure_threads=threads is not None and fixed is None,
        )
    if not result.finished:
        raise _interrupted(out)
    files = _export(module, config) | {WEIGHTS: weights_bytes(module.net)}
    summary = {
        "schema": SCHEMA,
        "status": "complete",
        "name": footage.name,
        "seed": config.seed,
        "videos": len(footage.videos),
        **task.describe,
        "dim": config.features,
        "stride_s": config.spec().stride_s,
        "bytes": len(files["backbone.onnx"]),
        "read_s": read_s,
        "seconds": time.monotonic() - began,
        "training": asdict(result),
    }
    for name, data in files.items():
        atomic_write(out / name, data)
    ck.write_json(out / "summary.json", summary)
    shutil.rmtree(out / "state", ignore_errors=True)
    return summary


def weights_bytes(net: BackboneNet) -> bytes:
    """The network's weights as a safetensors file."""
    from safetensors.torch import save

    data: bytes = save({key: value.contiguous() for key, value in net.state_dict().items()})
    return data


def load_weights(net: BackboneNet, path: Path) -> None:
    """Raises InputError where the file is missing, damaged, or of a network of other sizes."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        net.load_state_dict(load(path.read_bytes()))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise InputError(
            "backbone-start",
            f"training cannot start from {path.name} ({plain(error)[:300]})",
            "the weights that ship, with the default channels, dim and snippet_frames",
            'use these sizes, or set "start": "random" in the recipe',
        ) from None


def _describe(footage: Footage, config: BackboneConfig) -> dict[str, Any]:
    """config.json: recipe, labels and what the footage was, so that only the same run is continued."""
    parts: list[bytes] = []
    for video, path in sorted(footage.videos.items()):
        parts += [os.fsencode(video), str(path.stat().st_size).encode() if path.is_file() else b"-"]
        clicks = () if footage.points is None else footage.points.get(video, ())
        parts.append(np.array([(p.label, p.time_s) for p in clicks], np.float64).tobytes())
    return {
        "schema": SCHEMA,
        "config": config.model_dump(mode="json"),
        "labels": list(footage.labels),
        "clicked": footage.points is not None,
        "data_sha256": ck.digest(parts),
        "versions": ck.versions(),
    }


def _prepare(out: Path, record: dict[str, Any], *, resume: bool, fresh: bool) -> bool:
    """Make the folder ready. True where a resumed run was finished before."""
    if out.exists() and not out.is_dir():
        raise InputError("out-not-folder", f"{out} is a file", "a folder, new or empty", "choose another --out")
    held = out.is_dir() and any(out.iterdir())
    if held and not made_by(out, SCHEMA):
        raise InputError("out-foreign", f"{out} holds other files", "a new folder", "choose another --out")
    if held and not (resume or fresh):
        raise InputError(
            "run-exists", f"{out} holds a backbone", "a new folder", "add --resume or --fresh, or change --out"
        )
    if held and resume:
        old = ck.read_object(out / "config.json")
        changed = [k for k, v in json.loads(json.dumps(record)).items() if old.get(k) != v]
        if changed:
            raise InputError(
                "resume-differs",
                f"{out} was started with another recipe or other data ({', '.join(changed)})",
                "the same data, seed and options as before",
                "repeat the first command with --resume, or start over with --fresh",
            )
        if all((out / name).is_file() for name in ("summary.json", "backbone.json", "backbone.onnx")):
            shutil.rmtree(out / "state", ignore_errors=True)
            return True
        return False
    for name in _WRITTEN if held else ():
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / "state", ignore_errors=True)
    ck.write_json(out / "config.json", record)
    return False


def _read(footage: Footage, store: FrameStore, reporter: Reporter, stop: StopSignal) -> list[ClickedStretch]:
    """Decode every video once; clicks go to the stretch that holds them."""
    reporter.begin("reading", len(footage.videos), 0)
    parts: list[ClickedStretch] = []
    try:
        for video, path in footage.videos.items():
            if not store.add(video, path, stop=lambda: stop.requested) or stop.requested:
                raise _interrupted(store.folder)
            clicks = () if footage.points is None else footage.points.get(video, ())
            parts += _clicked(store.stretches(video), clicks, store, known=footage.points is not None)
            reporter.advance(as_utf8(video))
    finally:
        reporter.end()
    if not parts:
        raise InputError(
            "footage-short",
            f"no video of {footage.name} has {store.spec.stride_s:g} s without a gap",
            "videos of some seconds",
            "add footage",
        )
    return parts


def _clicked(
    stretches: Sequence[Stretch], clicks: Sequence[Point], store: FrameStore, *, known: bool
) -> list[ClickedStretch]:
    """Stretches with their clicks. Raises InputError for a click outside the video."""
    spec, parts = store.spec, []
    for index, stretch in enumerate(stretches):
        snippets = len(stretch.frames) // spec.snippet_frames
        begin = -np.inf if index == 0 else stretch.start_s
        end = stretches[index + 1].start_s if index + 1 < len(stretches) else np.inf
        mine = [p for p in clicks if begin <= p.time_s < end]
        if len(stretches) > 1:  # a click in a gap belongs to nothing that can be seen
            mine = [p for p in mine if p.time_s <= stretch.start_s + (snippets + 1) * spec.stride_s]
        located = locate_clicks(
            [p.time_s for p in mine],
            [p.label for p in mine],
            snippets=snippets,
            stride_s=spec.stride_s,
            start_s=stretch.start_s,
            video=stretch.video,
        )
        parts.append(ClickedStretch(stretch, located, known))
    if stretches and (lost := len(clicks) - sum(len(part.clicks) for part in parts)):
        what = f"{counted(lost, 'click')} of {as_utf8(stretches[0].video)}"
        warnings.warn(f"{what} left out: there is no picture at that time", UserWarning, stacklevel=2)
    return parts


def _export(module: BackboneModule, config: BackboneConfig) -> dict[str, bytes]:
    """Graph and spec as files. Exporting is the floor above: found by name, as the command line finds its commands."""
    exporter = importlib.import_module("punctum.export.graphs.backbone")
    files: dict[str, bytes] = exporter.backbone_files(module.net.eval(), config.spec())
    return files


def _interrupted(folder: Path) -> TrainingInterrupted:
    return TrainingInterrupted(
        "interrupted", f"training was stopped; {folder} holds what was done", "", "repeat the command with --resume"
    )
