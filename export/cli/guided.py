"""The process that `punctum label` starts for training and exporting: python -m punctum.export.cli.guided.

Standard input begins with one line of JSON, the request, and stays open as long as the server lives: when it ends, so
does this process. Standard output has one JSON object a line:

    {"stage": "training", "done": 120, "total": 720}     progress
    {"result": true}                                     result.json has been replaced
    {"problem": "..."}                                   something was left out
    {"bundle": "...", "id": "..."}                       a bundle was written
    {"error": {"code": "...", "text": "..."}}            it failed, in plain words
    {"done": true}                                       the end
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

NICE = 10


def main(given: TextIO, out: TextIO) -> int:
    """Do what the request says. Returns the exit code."""
    guard = threading.Lock()

    def send(message: dict[str, Any]) -> None:
        with guard, contextlib.suppress(BrokenPipeError):
            out.write(json.dumps(message) + "\n")
            out.flush()

    request = json.loads(given.readline())
    threading.Thread(target=_end_with, args=(given,), daemon=True).start()
    with contextlib.suppress(OSError, AttributeError):
        os.nice(NICE)
    from punctum.runtime.errors import PunctumError

    try:
        if request["job"] == "export":
            _export(request, send)
        else:
            _train(request, send)
    except PunctumError as error:
        text = f"{error.given}. {error.next_step}".strip()
        send({"error": {"code": error.code, "text": text}})
        return error.exit_code
    except OSError as error:
        send({"error": {"code": "write-failed", "text": f"A file cannot be read or written: {error}"}})
        return 1
    send({"done": True})
    return 0


def _end_with(given: TextIO) -> None:
    """End the process at the end of standard input: the server has ended, or has crashed."""
    with contextlib.suppress(OSError, ValueError):
        while given.readline():
            pass
    os._exit(1)


def _train(request: dict[str, Any], send: Any) -> None:
    from punctum.training.guidance import run_round

    options = {name: request[name] for name in ("locator_steps", "center_steps", "others_s") if name in request}
    run_round(
        Path(request["folder"]),
        Path(request["work"]),
        state=request["state"],
        points=request["points"],
        send=send,
        **options,
    )


def _export(request: dict[str, Any], send: Any) -> None:
    from punctum.runtime.errors import InputError
    from punctum.training.guidance import BACKBONE
    from punctum.training.models.checkpoint import load_run

    from ..exporter import OnnxExporter

    work, out = Path(request["work"]), Path(request["out"])
    if out.exists() and not (out / "manifest.json").is_file():
        raise InputError(
            "label-export",
            f"{out} exists and is no bundle",
            required="a new folder, or an earlier bundle",
            next_step="move it away",
        )
    exporter = OnnxExporter()
    exporter.check_installed("exporting a bundle")
    send({"stage": "export", "done": 0, "total": 1})
    run = load_run(work / request["run"])
    if "min_score" in request:
        if run.calibration is None:
            raise InputError(
                "label-export",
                "The scores of this round are not calibrated, so that the bundle has no minimum score",
                required="a round with calibration",
                next_step="label more videos, or export with the minimum score from training",
            )
        run = replace(run, calibration=run.calibration.with_minimum(float(request["min_score"])))
    ident = exporter.export_bundle(run, out, name=request["name"], backbone=work / BACKBONE)
    send({"bundle": str(out), "id": ident})


if __name__ == "__main__":
    sys.exit(main(sys.stdin, sys.stdout))
