"""Keys, profiles, cuts and the folder of engines: what needs neither a library nor a device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from punctum.runtime import Bundle
from punctum.runtime.backends.tensorrt import check_engines
from punctum.runtime.backends.tensorrt.build import plan_of
from punctum.runtime.backends.tensorrt.key import EngineKey, Gpu
from punctum.runtime.backends.tensorrt.library import Library, installed_libraries, load_library, pick_capabilities
from punctum.runtime.backends.tensorrt.profiles import (
    Profile,
    choose_profile,
    plan_profiles,
    plan_sizes,
    split,
    split_window,
)
from punctum.runtime.backends.tensorrt.store import EngineStore, default_folder
from punctum.runtime.errors import InputError, PunctumError

ASSETS = Path(__file__).parents[2] / "runtime" / "assets"
GPU = Gpu("Some GPU", "8.9", "580.1", "13.0")
KEY = EngineKey(
    part="locator",
    precision="fp32",
    graph="a" * 64,
    library="tensorrt",
    version="10.13.3.9",
    capability="8.9",
    device="Some GPU",
    driver="580.1",
    cuda="13.0",
    profiles="[]",
    flags='{"tf32":false}',
)
HERE = ("tensorrt", "10.13.3.9")


def find(store, **other):
    return store.find("locator", "fp32", KEY.graph, **({"library": HERE, "gpu": GPU} | other))


# ---------------------------------------------------------------- keys


@pytest.mark.parametrize("name", [f.name for f in fields(EngineKey)])
def test_every_part_of_the_key_counts(name):
    assert replace(KEY, **{name: "other"}).digest() != KEY.digest()
    assert EngineKey.from_data(asdict(KEY)) == KEY
    with pytest.raises(ValueError, match="lacks"):
        EngineKey.from_data({k: v for k, v in asdict(KEY).items() if k != name})


def test_mismatches_name_what_differs():
    assert KEY.mismatches(graph=KEY.graph, library=HERE, gpu=GPU) == []
    assert KEY.mismatches() == []
    other = Gpu("Other GPU", "8.7", "600.1", "13.1")
    assert KEY.mismatches(graph="b", library=("tensorrt", "11.0"), gpu=other) == [
        "built from another graph",
        "built with tensorrt 10.13.3.9, this machine has tensorrt 11.0",
        "built for compute capability 8.9, this machine has 8.7",
        "built for a GPU named Some GPU, this machine has Other GPU",
        "built for driver 580.1, this machine has 600.1",
        "built for CUDA 13.0, this machine has 13.1",
    ]
    anywhere = replace(KEY, device="", driver="", cuda="")
    assert anywhere.mismatches(gpu=replace(other, capability="8.9")) == []


# ---------------------------------------------------------------- profiles


def test_profiles_cover_all_that_a_session_asks():
    """The longest block of a recording, the longest island, and as many streams as are stacked."""
    from punctum.runtime.session.plan import BLOCK
    from punctum.runtime.session.score_runs import JOINED_ROWS

    for name in ("demo", "default"):
        bundle = Bundle.load(ASSETS / name)
        plan, dim = plan_of(bundle), bundle.manifest.features.dim
        sizes = plan_sizes(plan)
        profiles = plan_profiles("locator", {"features": (-1, -1, dim)}, sizes)
        for length in (1, plan.left + plan.right + 1, BLOCK + plan.left + plan.right):
            assert choose_profile(profiles, {"features": (1, length, dim)}) is not None
        assert choose_profile(profiles, {"features": (1, 1, dim)}) == 0
        scorer = plan_profiles(
            "center",
            {"features": (-1, dim), "tracks": (-1, 7), "segments": (-1, 2), "labels": (-1,)},
            sizes,
        )
        island = int(plan.post.max_island_s / plan.stride_s) + 2 * plan.context + 2
        for length, count in ((1, 1), (island, plan.post.max_proposals), (JOINED_ROWS, 4096)):
            shapes = {"features": (length, dim), "tracks": (length, 7), "segments": (count, 2), "labels": (count,)}
            assert choose_profile(scorer, shapes) is not None
        for profile in (*profiles, *scorer):
            assert json.dumps(profile.as_data())
            for low, best, high in profile.shapes.values():
                assert all(0 < a <= b <= c for a, b, c in zip(low, best, high, strict=True))


def test_inputs_decide_the_profiles():
    sizes = plan_sizes(plan_of(Bundle.load(ASSETS / "demo")), lengths=(64, 256), proposals=(10, 20))
    flat = plan_profiles("locator", {"features": (-1, 8)}, sizes)
    assert [p.shapes["features"][2] for p in flat] == [(64, 8), (256, 8)]
    scorer = plan_profiles("center", {"features": (-1, 8), "segments": (-1, 2)}, sizes)
    assert [(p.largest("features"), p.largest("segments")) for p in scorer] == [(256, 10), (1024, 20)]
    (clips,) = plan_profiles("backbone", {"clips": (-1, 8, 1, 48, 64)}, sizes)
    assert clips.shapes["clips"] == ((1, 8, 1, 48, 64), (1, 8, 1, 48, 64), (16, 8, 1, 48, 64))
    with pytest.raises(InputError, match="Dimension 1 of input 'features'"):
        plan_profiles("center", {"features": (-1, -1)}, sizes)


@pytest.mark.parametrize(
    "given",
    [{"lengths": (5, 5)}, {"lengths": (0,)}, {"proposals": (9, 3)}, {"lengths": (20,)}, {"proposals": range(1, 12)}],
)
def test_bounds_that_make_no_sense(given):
    with pytest.raises(InputError):
        plan_sizes(plan_of(Bundle.load(ASSETS / "demo")), **given)


def test_the_tightest_profile_is_taken():
    wide, tight = Profile({"x": ((1,), (5,), (100,))}), Profile({"x": ((1,), (5,), (10,))})
    assert choose_profile([wide, tight], {"x": (7,)}) == 1
    assert choose_profile([wide, tight], {"x": (11,)}) == 0
    assert choose_profile([wide, tight], {"x": (101,)}) is None
    assert choose_profile([wide, tight], {"x": (7, 1)}) is None
    assert choose_profile([wide, tight], {"y": (7,)}) is None
    assert choose_profile([], {"x": (1,)}) is None


# ---------------------------------------------------------------- cuts


@given(st.integers(0, 500), st.integers(0, 12), st.integers(0, 12), st.integers(1, 60))
def test_pieces_of_a_window_are_one_run(length, left, right, more):
    """A smoothing filter with that receptive field, cut and whole."""
    longest = left + right + more
    kernel = np.arange(1, left + right + 2, dtype=np.float64)
    rows = np.random.default_rng(length).normal(size=length)

    def run(part):
        padded = np.pad(part, (left, right))
        return np.array([padded[k : k + left + right + 1] @ kernel for k in range(len(part))])

    pieces = split_window(length, longest, left, right)
    found = [run(rows[p.low : p.high])[p.skip : p.skip + p.count] for p in pieces]
    assert all(0 < p.high - p.low <= longest and p.count > 0 for p in pieces)
    np.testing.assert_array_equal(np.concatenate([*found, []]), run(rows) if length else [])


def test_a_window_that_cannot_be_cut():
    with pytest.raises(InputError, match="receptive field"):
        split_window(100, 20, 10, 10)


@given(st.integers(0, 200), st.integers(1, 50))
def test_parts_are_everything_once(count, most):
    parts = split(count, most)
    assert [k for part in parts for k in range(count)[part]] == list(range(count))
    assert all(0 < part.stop - part.start <= most for part in parts)


# ---------------------------------------------------------------- the folder


def test_what_was_put_is_found(tmp_path):
    store = EngineStore(tmp_path / "engines")
    assert store.entries() == []
    record = store.put(KEY, b"engine", {"bundle": "b-1"})
    assert store.get(KEY) == record
    assert store.get(replace(KEY, flags="other")) is None
    found, data, ignored = find(store)
    assert (found.key, data, ignored) == (KEY, b"engine", [])
    assert found.facts["bundle"] == "b-1"
    told = json.loads((store.folder / f"{record.file.rsplit('-', 1)[0]}.json").read_text())
    assert told["key"]["driver"] == "580.1"
    assert told["digest"] == KEY.digest()


def test_a_new_build_replaces_the_old(tmp_path):
    store = EngineStore(tmp_path)
    store.put(KEY, b"old", {})
    store.put(replace(KEY, flags="other"), b"beside", {})
    store.put(KEY, b"new", {})
    assert find(store)[1] == b"new"
    assert len(list(tmp_path.glob("*.engine"))) == 2


def test_the_newest_of_several_that_fit(tmp_path):
    store = EngineStore(tmp_path)
    for age, flags in ((100, "first"), (50, "second"), (75, "third")):
        store.put(replace(KEY, flags=flags), flags.encode(), {})
        path = tmp_path / f"locator-fp32-sm89-{replace(KEY, flags=flags).digest()}.json"
        os.utime(path, (1e9 - age, 1e9 - age))
    assert find(store)[1] == b"second"


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda engine, record: engine.write_bytes(b"engonx"), "sha256 differs"),
        (lambda engine, record: engine.write_bytes(b"eng"), "3 bytes, not 6"),
        (lambda engine, record: engine.write_bytes(b""), "0 bytes, not 6"),
        (lambda engine, record: engine.unlink(), "is missing"),
        (lambda engine, record: record.write_text("{"), "cannot be read"),
        (lambda engine, record: record.write_bytes(b"\xff\xfe\x00"), "cannot be read"),
        (lambda engine, record: record.write_text("[" * 100_000), "cannot be read"),
        (lambda engine, record: record.write_text("[]"), "format"),
        (lambda engine, record: record.write_text('{"format": 2}'), "format 2, not 1"),
        (lambda engine, record: record.write_bytes(b" " * (2 << 20)), "too large"),
        (lambda engine, record: record.rename(record.with_name("renamed.json")), "renamed"),
        (lambda engine, record: edit(record, lambda told: told["key"].update(driver="600.1")), "digest"),
        (lambda engine, record: edit(record, lambda told: told["key"].pop("driver")), "lacks a field"),
        (lambda engine, record: edit(record, lambda told: told.update(file="../../etc/passwd")), "no engine file"),
        (lambda engine, record: edit(record, lambda told: told.update(file=None)), "no engine file"),
        (lambda engine, record: edit(record, lambda told: told.update(size="6")), "field is missing"),
    ],
)
def test_damage_is_ignored_with_its_reason(tmp_path, harm, says):
    store = EngineStore(tmp_path)
    made = store.put(KEY, b"engine", {})
    harm(tmp_path / made.file, next(tmp_path.glob("*.json")))
    with pytest.raises(InputError, match=says) as caught:
        find(store)
    assert caught.value.code == "engine-missing"
    assert store.get(KEY) is None
    assert any(says in entry.problem for entry in store.entries())
    assert {state.state for state in check_engines(tmp_path)} == {"ignored"}
    again = store.put(KEY, b"engine", {})  # building heals it
    assert find(store)[0].file == again.file


def edit(path, change):
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))


def test_other_machines_graphs_and_libraries_are_ignored(tmp_path):
    store = EngineStore(tmp_path)
    store.put(KEY, b"engine", {})
    store.put(replace(KEY, part="center"), b"other part", {})
    for other, says in (
        ({"gpu": replace(GPU, driver="600.1")}, "built for driver 580.1, this machine has 600.1"),
        ({"gpu": replace(GPU, name="Another")}, "a GPU named Some GPU"),
        ({"library": ("tensorrt_rtx", "1.7.1.116")}, "this machine has tensorrt_rtx 1.7.1.116"),
    ):
        with pytest.raises(InputError, match=says) as caught:
            find(store, **other)
        assert "center" not in caught.value.given
        assert "punctum build BUNDLE" in caught.value.next_step


def test_an_engine_without_a_record(tmp_path):
    (tmp_path / "lost.engine").write_bytes(b"x")
    (state,) = check_engines(tmp_path)
    assert (state.state, state.reason) == ("ignored", "no record names this engine")


def test_a_file_is_no_folder(tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    with pytest.raises(InputError, match="is a file"):
        EngineStore(path)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(PunctumError) as caught:
        EngineStore(tmp_path / "file" / "engines").put(KEY, b"engine", {})
    assert caught.value.code == "write-failed"


WRITER = """
import sys
import time
from punctum.runtime.backends.tensorrt.key import EngineKey
from punctum.runtime.backends.tensorrt.store import EngineStore
store, seed = EngineStore(sys.argv[1]), int(sys.argv[2])
key = EngineKey(*sys.argv[3:])
for k in range(8):
    store.put(key, bytes([seed]) * (1000 + k), {"seed": seed})
    store.merge_blob("timing.cache", lambda present: present + bytes([seed]))
"""


def test_builds_at_once_leave_one_whole_engine(tmp_path):
    """Two processes put the same key again and again; a reader finds a whole one at any time."""
    EngineStore(tmp_path).put(KEY, b"first", {})
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, str(seed), *asdict(KEY).values()]) for seed in (1, 2)]
    looked = 0
    while any(writer.poll() is None for writer in writers):
        record, data, _ = find(EngineStore(tmp_path))
        assert record.size == len(data)
        looked += 1
        time.sleep(0.002)
    assert [writer.wait() for writer in writers] == [0, 0]
    assert looked > 0
    assert len(list(tmp_path.glob("*.engine"))) == 1
    assert sorted((tmp_path / "timing.cache").read_bytes()) == [1] * 8 + [2] * 8
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".") and path.name != ".lock"]


def test_the_default_folder_is_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder("a b/../c") == tmp_path / "punctum" / "engines" / "a_b_.._c"


# ---------------------------------------------------------------- libraries


def test_libraries_by_name():
    with pytest.raises(InputError, match="library 'trt'"):
        load_library("trt")
    names = [library.name for library in installed_libraries()]
    for name in ("tensorrt", "tensorrt_rtx"):
        if name in names:
            assert load_library(name).name == name
            continue
        with pytest.raises(InputError, match=f"{name} is not installed") as caught:
            load_library(name)
        assert caught.value.code == "missing-dependency"
        assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("raise ImportError('libnvinfer.so.10: cannot open shared object file')", "libnvinfer.so.10: cannot open"),
        ("__version__ = 'something'", "is not TensorRT"),
        ("import a_module_that_is_not_there", "a_module_that_is_not_there"),
        ("__version__ = '8.6.1'\nclass Builder: pass", "tensorrt 8.6.1"),
    ],
)
def test_a_broken_tensorrt_is_told_from_an_absent_one(tmp_path, monkeypatch, text, says):
    (tmp_path / "tensorrt.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    with pytest.raises(InputError, match=says):
        load_library("tensorrt")
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)


def test_capabilities_of_the_device_only():
    library = Library("tensorrt", "10.13.3.9", api=None)
    assert pick_capabilities(library, (), "8.7") == ("8.7",)
    assert pick_capabilities(library, ("8.7",), "8.7") == ("8.7",)
    for wanted, device in ((("8.9",), "8.7"), (("8.9",), None), ((), None)):
        with pytest.raises(InputError, match="on the target") as caught:
            pick_capabilities(library, wanted, device)
        assert caught.value.code == "compute-capability"
