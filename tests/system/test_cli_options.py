"""No option without effect: each is in the table of `cli_options`, and acts there or is refused by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from punctum.runtime.cli import invoke
from punctum.runtime.cli._app import build

pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
from punctum.runtime.synthetic.sensors import make_sequence, write_demo_dataset

from tests.system import cli_acts
from tests.system import cli_options as table


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield " ".join(path), command
        return
    for name, child in children.items():
        yield from commands(child, (*path, name))


def test_every_option_of_every_command_is_in_the_table():
    found = {
        name: {p.opts[0] for p in command.params if p.opts[0].startswith("-")} for name, command in commands(build())
    }
    listed = {name: set(options) for name, options in table.OPTIONS.items()}
    assert found == listed


def test_what_needs_another_option_is_among_the_refused():
    """A row that says "needs" or "refused" has a command line that shows it."""
    shared = {*table.ENGINE, *table.LATENCY}  # one rule for all commands, which some of them show
    for name, options in table.OPTIONS.items():
        lines = [line.split() for line, _ in table.REFUSED if line.startswith(f"{name} ")]
        for option, how in options.items():
            if ("needs --" in how or "refused" in how) and option not in shared:
                assert any(option in line for line in lines), (name, option)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("options")
    bundle = Path(str(resources.files("punctum.runtime") / "assets" / "demo"))
    (folder / "folder").mkdir()
    np.save(folder / "seq.npy", make_sequence(99, seconds=40).features)
    write_demo_dataset(folder / "dataset", videos=4, seed=3)
    lines = (folder / "dataset" / "points.csv").read_text().splitlines()
    (folder / "dataset" / "other.csv").write_text("\n".join(lines[:1] + lines[9:]) + "\n")
    (folder / "csv.csv").write_text("class,video_id,start_s,end_s,score\nwave,v,1.0,2.0,0.5\n")
    (folder / "clicks.csv").write_text("class,video_id,time_s\nwave,v,1.0\n")
    videos = sorted(path for path in (folder / "dataset" / "features").glob("*.npy"))
    events, out, parts = folder / "events.jsonl", folder / "one.jsonl", []
    for video in videos:
        assert invoke(["run", str(bundle), str(video), "--out", str(out)]) == 0
        parts.append(out.read_text())
    events.write_text("".join(parts))
    proposals, results = folder / "proposals.json", dict[str, list[dict[str, Any]]]()
    for line in events.read_text().splitlines():  # on both lists, moved a little: candidates of a coarser locator
        event = json.loads(line)
        for late in (0.0, 0.3):
            item = {"label": event["label"], "segment": [event["start"] + late, event["end"] + late], "score": 0.5}
            results.setdefault(event["stream"], []).append(item)
    proposals.write_text(json.dumps({"version": "base", "results": results}))
    (folder / "credentials.toml").write_text('[source]\nuser = "viewer"\n')
    return {
        "bundle": bundle,
        "credentials": folder / "credentials.toml",
        "features": folder / "seq.npy",
        "dataset": folder / "dataset",
        "folder": folder / "folder",
        "missing": folder / "missing",
        "csv": folder / "csv.csv",
        "clicks": folder / "clicks.csv",
        "events": events,
        "proposals": proposals,
    }


def words(line: str, place: dict[str, Path], tmp_path: Path) -> list[str]:
    return [word.format(**place, new=tmp_path / "new") for word in line.split()]


@pytest.mark.parametrize(("line", "option"), table.REFUSED, ids=[line for line, _ in table.REFUSED])
def test_without_effect_it_is_refused_by_name(place, tmp_path, capsys, line, option):
    for library in {
        "train": ["torch", "safetensors"],
        "export": ["onnx"],
        "backbones": ["onnx"],
        "report": ["jinja2"],
    }.get(line.split()[0].partition("-")[0], []):
        pytest.importorskip(library, reason=f"{line.split()[0]} needs {library}")
    assert invoke(words(line, place, tmp_path)) == 2
    told = capsys.readouterr().err
    assert option in told, told
    assert "Next: " in told
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("line", "option"), cli_acts.ACTS, ids=[" ".join(pair) for pair in cli_acts.ACTS])
def test_with_it_the_output_is_another(place, tmp_path, capsys, line, option):
    if line.startswith("report"):
        pytest.importorskip("jinja2", reason="report needs jinja2")
    outputs = []
    for arguments in (line, f"{line} {option}"):
        code = invoke(words(arguments, place, tmp_path))
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        if arguments.startswith("report") or "--json" not in arguments:
            assert code in (0, 2) if line.startswith("data check") else code == 0, told.err
        outputs.append((told.out, "per second of media" in told.err))
    assert outputs[0] != outputs[1]
