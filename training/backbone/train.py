"""Train a backbone into a resumable folder: backbone.onnx, backbone.json (its spec), weights, summary, log."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from punctum.runtime.cli.progress import say_stage
from punctum.runtime.errors import InputError
from punctum.runtime.files.atomic import atomic_write
from punctum.runtime.text.display import plain

from ..engine.loop import run_stage
from ..engine.report import Reporter
from ..engine.run_folder import discard_state, prepare, sole_writer
from ..engine.selection import BestKeeper
from ..engine.stop import StopSignal
from ..engine.threads import training_threads
from ..models.weights import weights_bytes
from ..records import Record, digest, read_object, versions, write_json
from .config import BackboneConfig
from .exporter import BackboneExporter
from .footage import Footage
from .frames import FrameStore
from .net import BackboneNet
from .spans import interrupted, read_spans
from .task import BackboneModule, BackboneTask

SCHEMA = "punctum.backbone/1"
SHIPPED = Path(str(resources.files("punctum.runtime"))) / "assets" / "motion.safetensors"
"""Weights that benchmarks/make_motion_weights.py learned from procedural footage; training starts from them."""
WEIGHTS = "weights.safetensors"
_RESULTS = ("summary.json", "backbone.json", "backbone.onnx")
_FILES = (*_RESULTS, WEIGHTS, "log.jsonl")


def train_backbone(
    footage: Footage,
    config: BackboneConfig,
    out: Path,
    *,
    exporter: BackboneExporter,
    resume: bool = False,
    fresh: bool = False,
    quiet: bool = False,
    frames: Path | None = None,
    threads: int | None = None,
) -> Record:
    """Train a backbone on `footage` into the folder `out`.

    Args:
        footage: videos and clicks.
        config: the recipe.
        out: the backbone folder.
        exporter: writes the graph.
        resume: continue an interrupted run, or return the summary of a finished one.
        fresh: discard what the folder holds.
        quiet: no progress.
        frames: folder for prepared frames, which later runs reuse; None: in `out`, deleted at the end.
        threads: of torch; 0: chosen by timing the first steps; None: as torch is set.

    Returns:
        The content of summary.json.

    Raises:
        InputError: the folder holds something else, a video cannot be read, or there is too little footage.
        TrainingInterrupted: after Ctrl-C; the folder can be resumed.
    """
    if not footage.videos:
        raise InputError(
            "videos-missing",
            f"{footage.name} holds no video",
            required="at least one video",
            next_step="check the path",
        )
    record = _describe(footage, config)
    with sole_writer(out):
        resumed = prepare(out, record, files=_FILES, compared=tuple(record), resume=resume, fresh=fresh)
        if resumed and all((out / name).is_file() for name in _RESULTS):
            discard_state(out)
            return read_object(out / "summary.json")
        began = time.monotonic()
        store = FrameStore(out / "state" / "frames" if frames is None else frames, config.spec())
        with StopSignal() as stop, training_threads(threads) as fixed:
            reporter = Reporter(out / "log.jsonl", quiet=quiet)
            parts = read_spans(footage, store, reporter, stop)
            read_s = time.monotonic() - began
            classes = len(footage.labels) if footage.points is not None else 0
            with torch.random.fork_rng():
                torch.manual_seed(config.seed)
                module = BackboneModule(config, classes)
            if config.start == "shipped":
                load_start(module.net, SHIPPED)
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
            raise interrupted(out)
        if not quiet:
            say_stage("backbone: its graph is exported, and compared with the network")
        files = exporter.backbone_files(module.net.eval(), config.spec()) | {WEIGHTS: weights_bytes(module.net)}
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
        write_json(out / "summary.json", summary)
        discard_state(out)
        return summary


def load_start(net: BackboneNet, path: Path) -> None:
    """Load the weights that training starts from.

    Raises:
        InputError: the file is missing, damaged, or belongs to a network of another size.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        net.load_state_dict(load(path.read_bytes()))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise InputError(
            "backbone-start",
            f"Training cannot start from {path.name} ({plain(error)[:300]})",
            required="the weights that ship, with the default channels, dim and snippet_frames",
            next_step='use the default sizes, or set "start": "random" in the recipe',
        ) from None


def _describe(footage: Footage, config: BackboneConfig) -> Record:
    """The record in config.json: recipe, labels, and what identifies the footage."""
    parts: list[bytes] = []
    for video, path in sorted(footage.videos.items()):
        parts += [os.fsencode(video), str(path.stat().st_size).encode() if path.is_file() else b"-"]
        clicks = () if footage.points is None else footage.points.get(video, ())
        parts.append(np.array([(p.label, p.time_s) for p in clicks], np.float64).tobytes())
        sure = footage.background.get(video, ())
        if sure or video in footage.partly:
            parts.append(repr((sorted(map(tuple, sure), key=str), video in footage.partly)).encode())
    return {
        "schema": SCHEMA,
        "config": config.model_dump(mode="json"),
        "labels": list(footage.labels),
        "clicked": footage.points is not None,
        "data_sha256": digest(parts),
        "versions": versions(),
    }
