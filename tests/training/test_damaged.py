"""Run folders and training states that were damaged or tampered with: one clear error, whatever is wrong."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from punctum.runtime import Dataset, InputError, PunctumError
from punctum.runtime.files.atomic import sha256_file
from punctum.training.config import TrainConfig
from punctum.training.data.proposals import read_proposals
from punctum.training.data.videos import load_training_set
from punctum.training.engine.trainer import train_run
from punctum.training.models.checkpoint import load_run
from safetensors.numpy import load_file, save_file

from tests.helpers.exhaustive import EXHAUSTIVE, examples

from .test_check_agrees import TINY

FUZZ = settings(
    max_examples=examples(25, 60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
RECIPE = TINY.model_copy(update={"partners": (TINY.networks[0],), "save_every": 1})
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.floats(),
    st.sampled_from([10**400, 10**9, "", "x", "\ud800", "\x1b[31m", "../x", [], {}, [[]], {"a": 1}]),
)


@pytest.fixture(scope="module")
def run(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    train_run(load_training_set(Dataset.open(toy)), RECIPE, out, quiet=True)
    return out


def seal(folder: Path) -> None:
    """Hashes that fit: what is wrong shall be found by reading, not by the hash."""
    path = folder / "summary.json"
    summary = json.loads(path.read_text())
    summary["files"] = {name: sha256_file(folder / name) for name in summary["files"]}
    path.write_text(json.dumps(summary))


def places(record: Any, at: tuple = ()) -> list[tuple]:
    items = record.items() if isinstance(record, dict) else enumerate(record) if isinstance(record, list) else ()
    return [place for key, value in items for place in [(*at, key), *places(value, (*at, key))]]


def put(record: Any, place: tuple, value: Any) -> None:
    for key in place[:-1]:
        record = record[key]
    record[place[-1]] = value


@pytest.mark.slow
@FUZZ
@given(data=st.data(), file=st.sampled_from(["config.json", "post.json", "summary.json"]), value=values)
def test_json_of_a_run(run, toy, tmp_path, data, file, value):
    folder = tmp_path / "copy"
    shutil.copytree(run, folder, dirs_exist_ok=True)
    record = json.loads((folder / file).read_text())
    put(record, data.draw(st.sampled_from(places(record))), value)
    (folder / file).write_text(json.dumps(record))
    if file != "summary.json":
        seal(folder)
    try:
        load_run(folder)
    except PunctumError as error:
        assert error.exit_code == 2 and str(error).encode()
    try:
        train_run(load_training_set(Dataset.open(toy)), RECIPE, folder, resume=True, quiet=True)
    except PunctumError as error:
        assert error.exit_code == 2


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "[]", "3", '{"a": ' + "9" * 5000 + "}", "\x00"])
@pytest.mark.parametrize("file", ["config.json", "post.json", "summary.json"])
def test_files_that_are_no_json_object(run, toy, tmp_path, file, text):
    folder = Path(shutil.copytree(run, tmp_path / "copy"))
    (folder / file).write_text(text)
    if file != "summary.json":
        seal(folder)
    with pytest.raises(InputError) as caught:
        load_run(folder)
    assert caught.value.code in ("run-damaged", "run-invalid")
    if file == "config.json":
        with pytest.raises(InputError, match=r"config\.json|is not a run"):
            train_run(load_training_set(Dataset.open(toy)), RECIPE, folder, resume=True, quiet=True)


def nan(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    name = next(iter(weights))
    return weights | {name: np.full_like(weights[name], np.nan)}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda w: dict(list(w.items())[1:]), "absent"),
        (lambda w: w | {"extra\x1b[31m": np.zeros(3, np.float32)}, "no such weights"),
        (lambda w: {k: v[..., None] for k, v in w.items()}, "configuration has"),
        (nan, "not finite"),
    ],
)
@pytest.mark.parametrize("file", ["locator.safetensors", "center.safetensors"])
def test_weights_of_another_network(run, tmp_path, file, change, word):
    folder = Path(shutil.copytree(run, tmp_path / "copy"))
    save_file(change(load_file(folder / file)), folder / file)
    seal(folder)
    with pytest.raises(InputError, match=word) as caught:
        load_run(folder)
    assert caught.value.code == "weights-mismatch" and "\x1b" not in str(caught.value)


@pytest.mark.parametrize("file", ["locator.safetensors", "center.safetensors"])
@pytest.mark.parametrize("cut", [0, 4, 60, -7])
def test_weights_that_break_off(run, tmp_path, file, cut):
    folder = Path(shutil.copytree(run, tmp_path / "copy"))
    (folder / file).write_bytes((folder / file).read_bytes()[:cut])
    seal(folder)
    with pytest.raises(InputError) as caught:
        load_run(folder)
    assert caught.value.code == "weights-mismatch"


def test_a_huge_dimension_takes_no_memory(run, tmp_path):
    folder = Path(shutil.copytree(run, tmp_path / "copy"))
    record = json.loads((folder / "config.json").read_text())
    record["feature_spec"]["dim"] = 10**12
    (folder / "config.json").write_text(json.dumps(record))
    seal(folder)
    with pytest.raises(InputError) as caught:
        load_run(folder)
    assert caught.value.code == "run-invalid"


def test_a_run_on_videos_names_its_locator(run, tmp_path):
    shutil.copytree(run, tmp_path / "videos" / "locator")
    with pytest.raises(InputError, match="keeps the locator in a folder of its own") as caught:
        load_run(tmp_path / "videos")
    assert caught.value.code == "run-missing" and str(tmp_path / "videos" / "locator") in str(caught.value)


def test_a_summary_that_names_other_files(run, tmp_path):
    for n, name in enumerate(("../../outside", "/etc/hostname", "\x00")):
        folder = Path(shutil.copytree(run, tmp_path / f"copy{n}"))
        summary = json.loads((folder / "summary.json").read_text())
        summary["files"][name] = "0" * 64
        (folder / "summary.json").write_text(json.dumps(summary))
        with pytest.raises(InputError, match=r"summary\.json"):
            load_run(folder)


def test_runs_of_earlier_versions_load(run, tmp_path):
    folder = Path(shutil.copytree(run, tmp_path / "copy"))
    record = json.loads((folder / "config.json").read_text())
    lacp = {"kind": "lacp", "budget": 25, "batch": 4}
    record["config"]["partners"][0]["objective"] = lacp
    (folder / "config.json").write_text(json.dumps(record))
    seal(folder)
    assert load_run(folder).config.partners[0].objective.kind == "lacp"


def header(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def spoil(data: bytes) -> bytes:
        (size,) = struct.unpack("<Q", data[:8])
        record = json.loads(data[8 : 8 + size])
        change(record)
        text = json.dumps(record).encode()
        text += b" " * (-len(text) % 8)
        return struct.pack("<Q", len(text)) + text + data[8 + size :]

    return spoil


def meta(**changes: str) -> Callable[[bytes], bytes]:
    return header(lambda record: record["__metadata__"].update(changes))


def renamed(old: str, new: str) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(old.encode(), new.encode())


STATES = {
    "empty": lambda data: b"",
    "cut": lambda data: data[:-9],
    "no metadata": header(lambda record: record.pop("__metadata__")),
    "step of text": meta(step="two"),
    "step below 0": meta(step="-1"),
    "step beyond": meta(step="99999"),
    "facts of text": meta(facts="x"),
    "facts a list": meta(facts="[]"),
    "facts nothing": meta(facts="null"),
    "facts deep": meta(facts="[" * 100_000),
    "seconds text": meta(facts='{"seconds": "x"}'),
    "seconds without end": meta(facts='{"seconds": Infinity}'),
    "threads without end": meta(facts='{"seconds": 1, "threads": 999999999}'),
    "threads text": meta(facts='{"seconds": 1, "threads": "a"}'),
    "best a list": meta(facts='{"seconds": 1, "best_step": [], "best_score": {}}'),
    "another weight": renamed("module/members", "module/nembers"),
    "another part": renamed("module/members", "modula/members"),
    "another slot": renamed("exp_avg_sq", "exp_avg_sr"),
    "another parameter": renamed("optimizer/0/", "optimizer/9/"),
    "parameter of text": renamed("optimizer/0/", "optimizer/x/"),
}


LONGER = RECIPE.model_copy(
    update={f: getattr(RECIPE, f).model_copy(update={"steps": 3}) for f in ("locator_optim", "center_optim")}
)


@pytest.fixture(scope="module")
def killed(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs that were killed after the first state of a stage."""
    from punctum.training.engine import loop

    class Killed(Exception):
        pass

    folders, data, saved = {}, load_training_set(Dataset.open(toy)), loop.save_state
    for stage in ("locator", "center"):

        def kill(path: Path, state: Any, last: str = f"{stage}.safetensors") -> None:
            saved(path, state)
            if path.name == last:
                raise Killed

        folders[stage] = tmp_path_factory.mktemp("killed") / "run"
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            patch.setattr(loop, "save_state", kill)
            train_run(data, LONGER, folders[stage], quiet=True)
    return folders


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("stage", ["locator", "center"])
def test_states_to_resume_from(killed, toy, tmp_path, name, stage):
    data, folder = load_training_set(Dataset.open(toy)), Path(shutil.copytree(killed[stage], tmp_path / "run"))
    path = folder / "state" / f"{stage}.safetensors"
    whole = path.read_bytes()
    path.write_bytes(STATES[name](whole))
    assert path.read_bytes() != whole
    before = files_of(folder)
    with pytest.raises(InputError) as caught:
        train_run(data, LONGER, folder, quiet=True, resume=True)
    assert caught.value.code == "state-damaged" and "`fresh=True`" in str(caught.value)
    assert files_of(folder) == before  # so that training can be resumed from any of these states
    if EXHAUSTIVE or name == "cut":
        path.write_bytes(whole)
        assert train_run(data, LONGER, folder, quiet=True, resume=True)["status"] == "complete"


@pytest.mark.parametrize(
    "line",
    [
        '{"stage": "locator", "step": "x"}',
        *(pytest.param(text, marks=pytest.mark.slow) for text in ("[]", "3", "\x00", "[" * 100_000, "{")),
    ],
)
def test_a_damaged_log_does_not_stop_a_resumed_run(run, toy, tmp_path, line):
    folder = Path(shutil.copytree(run, tmp_path / "copy"))
    (folder / "summary.json").unlink()
    (folder / "locator.safetensors").unlink()
    (folder / "log.jsonl").write_bytes(line.encode() + b"\n\xff\n")
    data = load_training_set(Dataset.open(toy))
    assert train_run(data, RECIPE, folder, quiet=True, resume=True)["status"] == "complete"


@FUZZ
@given(
    results=st.dictionaries(
        st.sampled_from(["v00", "v01.mp4", "V02", ""]),
        st.one_of(
            values,
            st.lists(
                st.one_of(
                    values,
                    st.fixed_dictionaries({"label": values, "segment": st.one_of(values, st.lists(values))}),
                    st.just({"label": "wave", "segment": [1, 10**400]}),
                    st.just({"label": "wave ", "segment": [1, 2.5], "score": 0.5}),
                ),
                max_size=3,
            ),
        ),
        max_size=3,
    )
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_proposals_of_any_kind(toy, tmp_path, results):
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"results": results}))
    data = load_training_set(Dataset.open(toy))
    try:
        found = read_proposals(path, data.samples, data.labels, stride_s=data.stride_s)
    except InputError as error:
        assert error.code in ("proposals-form", "proposals-empty")
    else:
        assert found.keys() <= {"v00", "v01"}


@pytest.mark.slow
def test_a_dataset_whose_folder_has_no_utf8_name(toy, tmp_path, small: TrainConfig):
    folder = tmp_path / "d\udcff"
    try:
        shutil.copytree(toy, folder)
    except (OSError, UnicodeError):
        pytest.skip("this file system takes UTF-8 names only")
    facts = json.loads((folder / "dataset.json").read_text())
    del facts["name"]
    (folder / "dataset.json").write_text(json.dumps(facts))
    summary = train_run(load_training_set(Dataset.open(folder)), TINY, tmp_path / "run", quiet=True)
    assert summary["status"] == "complete"
    assert load_run(tmp_path / "run").provenance["dataset"] == "d\\xff"
