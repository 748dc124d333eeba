"""Run folders and training states from elsewhere: one clear error, whatever they hold."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import shutil
import struct
from pathlib import Path

import pytest
from punctum.runtime import Dataset, InputError
from punctum.runtime._files import sha256_file
from punctum.training import load_run, train_run
from punctum.training.data import load_training_set
from punctum.training.state import load_state

NASTY = [
    *(None, True, -1, 0, 0.5, 1e300, 300, "", "x", "\0", "\ud800", "../x"),
    *([], {}, [[]], {"a": 1}, [None], "9" * 5000),
]


@pytest.fixture
def run(toy, small, tmp_path) -> Path:
    quick = small.model_copy(
        update={
            "locator_optim": small.locator_optim.model_copy(update={"steps": 2}),
            "center_optim": small.center_optim.model_copy(update={"steps": 2}),
        }
    )
    data = load_training_set(Dataset.open(toy), holdout=quick.holdout, seed=quick.seed)
    train_run(data, quick, tmp_path / "run", quiet=True)
    return tmp_path / "run"


def reseal(folder: Path) -> None:
    """As someone would who knows how a run is sealed."""
    path = folder / "summary.json"
    summary = json.loads(path.read_text())
    summary["files"] = {name: sha256_file(folder / name) for name in summary["files"]}
    path.write_text(json.dumps(summary))


def places(value, at=()):
    yield from [at] if at else []
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(min(len(value), 3)):
            yield from places(value[key], (*at, key))


def ends_well(folder: Path) -> bool:
    try:
        load_run(folder)
    except InputError as error:
        assert "Traceback" not in str(error) and len(str(error)) < 3000
        return False
    return True


@pytest.mark.parametrize("name", ["config.json", "post.json", "summary.json"])
def test_changed_json(run, tmp_path, name):
    rng = random.Random(name)
    whole = json.loads((run / name).read_text())
    for k in range(80):
        record = copy.deepcopy(whole)
        *parents, last = rng.choice(list(places(record)))
        held = record
        for key in parents:
            held = held[key]
        held[last] = rng.choice(NASTY)
        (run / name).write_text(json.dumps(record))
        if name != "summary.json":
            reseal(run)
        ends_well(run)
        if k % 8 == 0:
            raw = json.dumps(whole).encode()
            (run / name).write_bytes(rng.choice((raw[: rng.randrange(len(raw))], b"[" * 10**5, b"\xff" + raw, b"null")))
            if name != "summary.json":
                reseal(run)
            assert not ends_well(run)


def test_a_recipe_larger_than_its_weights_takes_no_memory(run):
    record = json.loads((run / "config.json").read_text())
    record["config"]["locator"]["hidden"][0] |= {"units": 60_000, "kernel": 60_001}
    (run / "config.json").write_text(json.dumps(record))
    reseal(run)
    with pytest.raises(InputError, match="bytes"):
        load_run(run)


def test_changed_weights(run):
    path = run / "locator.safetensors"
    raw = path.read_bytes()
    rng = random.Random(0)
    for _ in range(40):
        data = bytearray(raw)
        kind = rng.random()
        if kind < 0.4:
            data[rng.randrange(min(len(data), 600))] = rng.randrange(256)
        elif kind < 0.7:
            del data[rng.randrange(len(data)) :]
        else:
            data[:8] = struct.pack("<Q", rng.choice((0, 1, 2**31, 2**62, len(data))))
        path.write_bytes(data)
        reseal(run)
        ends_well(run)


def test_states_to_resume_from(tmp_path):
    rng = random.Random(1)
    head = json.dumps({"module/w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                       "__metadata__": {"step": "1", "facts": "{}"}}).encode()  # fmt: skip
    whole = struct.pack("<Q", len(head)) + head + bytes(4)
    path = tmp_path / "s.safetensors"
    path.write_bytes(whole)
    assert load_state(path) is not None
    for facts in ("[" * 10**5, "x", "{"):
        bad = head.replace(b'"{}"', json.dumps(facts).encode())
        path.write_bytes(struct.pack("<Q", len(bad)) + bad + bytes(4))
        with pytest.raises(InputError):
            load_state(path)
    for _ in range(200):
        data = bytearray(whole)
        data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data)
        with contextlib.suppress(InputError):
            load_state(path)


def test_a_run_that_may_not_be_continued(run, toy, small):
    (run / "config.json").write_text("[" * 10**5)
    data = load_training_set(Dataset.open(toy), holdout=small.holdout, seed=small.seed)
    with pytest.raises(InputError):
        train_run(data, small, run, quiet=True, resume=True)
    shutil.rmtree(run)
