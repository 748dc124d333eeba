"""What `data check` accepts, training starts on; what training refuses, `data check` reports with the same code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from punctum.runtime import Dataset, InputError
from punctum.runtime.cli import invoke
from punctum.runtime.datasets.check import check_dataset
from punctum.training.config import TrainConfig
from punctum.training.data.videos import load_training_set
from punctum.training.engine.trainer import train_run

from tests.helpers.exhaustive import examples

from .conftest import DIM, make_dataset

pytestmark = pytest.mark.slow

Spoil = Callable[[Path], object]
TINY = TrainConfig.model_validate(
    {
        "locator": {"hidden": [], "members": 1},
        "objective": {"kind": "points", "sampling": "crops", "batch": 2, "window": 8, "background_at": "auto"},
        "locator_optim": {"steps": 1},
        "partners": [],
        "center": {"use_tracks": False, "embed": 2, "hidden": 2},
        "center_objective": {"kind": "quality", "around": 2, "elsewhere": 1, "batch": 4},
        "center_optim": {"steps": 1},
    }
)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Smaller than that of other tests: dozens of trainings start on it."""
    return make_dataset(tmp_path_factory.mktemp("toy") / "data", train=4, test=2)


def refusal(folder: Path, out: Path) -> str:
    """The code with which training refuses, "" where it runs through."""
    try:
        train_run(load_training_set(Dataset.open(folder)), TINY, out, fresh=True, quiet=True)
    except InputError as error:
        assert error.given and error.expected and error.next_step
        return error.code
    return ""


def agree(folder: Path, out: Path) -> str:
    report = check_dataset(folder)
    json.dumps(report.to_record(), allow_nan=False)
    found = {f.code for f in report.errors}
    code = refusal(folder, out)
    if any(f.code == "list-missing" for f in report.warnings):
        found.add("list-missing")  # a folder of test videos only: sound, but not for training
    assert not code or code in found, (code, found)
    return code


def feature(change: Callable[[np.ndarray], np.ndarray], video: str = "v01") -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / "features" / f"{video}.npy"
        np.save(path, change(np.load(path)), allow_pickle=True)

    return spoil


def put(value: float) -> Spoil:
    def change(rows: np.ndarray) -> np.ndarray:
        rows = rows.astype(np.float64)
        rows[3, 1] = value
        return rows if abs(value) > 1e38 and np.isfinite(value) and value != 3e38 else rows.astype(np.float32)

    return feature(change)


def text(name: str, change: Callable[[str], str]) -> Spoil:
    return lambda folder: (folder / name).write_text(change((folder / name).read_text()))


def point(row: str) -> Spoil:
    return text("points.csv", lambda old: old.rstrip("\n") + f"\n{row}\n")


def fact(**changes: object) -> Spoil:
    return text("dataset.json", lambda old: json.dumps(json.loads(old) | changes))


def moved(ending: str) -> Spoil:
    return lambda folder: (folder / "features" / "v01.npy").rename(folder / "features" / f"v01{ending}")


def archived(**more: object) -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / "features" / "v01.npy"
        np.savez(path.with_suffix(".npz"), **{"features": np.load(path), **more})
        path.unlink()

    return spoil


REFUSED: dict[str, tuple[Spoil, str]] = {
    "3e38": (put(3e38), "features-range"),
    "-1e20": (put(-1e20), "features-range"),
    "beyond float32": (put(1e300), "features-not-finite"),
    "nan": (put(np.nan), "features-not-finite"),
    "inf": (put(np.inf), "features-not-finite"),
    "transposed": (feature(lambda x: np.ascontiguousarray(x.T)), "features-transposed"),
    "other dimension": (feature(lambda x: x[:, :4]), "features-dimension"),
    "flat": (feature(lambda x: x[:, 0]), "features-shape"),
    "batched": (feature(lambda x: x[None]), "features-shape"),
    "no snippets": (feature(lambda x: x[:0]), "features-empty"),
    "no dimensions": (feature(lambda x: x[:, :0]), "features-dimension"),
    "text": (feature(lambda x: x.astype(str)), "features-dtype"),
    "truth values": (feature(lambda x: x > 0), "features-dtype"),
    "complex": (feature(lambda x: x.astype(complex)), "features-dtype"),
    "pickled": (feature(lambda x: x.astype(object)), "features-unreadable"),
    "gone": (lambda f: (f / "features" / "v01.npy").unlink(), "features-missing"),
    "torch": (moved(".pt"), "features-missing"),
    "hdf5": (moved(".h5"), "features-missing"),
    "capitals": (lambda f: (f / "features" / "v01.npy").rename(f / "features" / "V01.npy"), "features-missing"),
    "cut": (lambda f: (f / "features" / "v01.npy").write_bytes(b"\x93NUMPY\x01\x00"), "features-unreadable"),
    "empty archive": (lambda f: (archived()(f), np.savez(f / "features" / "v01.npz")), "features-unreadable"),
    "archive of others": (
        lambda f: (archived()(f), np.savez(f / "features" / "v01.npz", a=np.ones(3), b=np.ones(2))),
        "features-unreadable",
    ),
    "click beyond": (point("wave,v01,9999"), "point-outside-video"),
    "click before": (point("wave,v01,-99"), "point-outside-video"),
    "click of no class": (point("hop,v01,10"), "label-unknown"),
    "click of no time": (point("wave,v01,soon"), "points-row"),
    "click at nan": (point("wave,v01,nan"), "points-row"),
    "click in capitals": (point("wave,V01,10"), "video-alike"),
    "split comma": (point("wave,v01,1,5"), "points-row"),
    "no clicks": (text("points.csv", lambda old: old.splitlines()[0]), "no-points"),
    "no clicks in training": (text("points.csv", lambda old: old.replace("v0", "w0")), "no-points"),
    "no header": (text("points.csv", lambda old: old.partition("\n")[2]), "points-columns"),
    "no points file": (lambda f: (f / "points.csv").unlink(), "points-missing"),
    "points no text": (lambda f: (f / "points.csv").write_bytes(b"\xff\xfe\x00"), "points-unreadable"),
    "empty list": (text("train.txt", lambda _: "\n\n"), "list-missing"),
    "no list": (lambda f: (f / "train.txt").unlink(), "list-missing"),
    "no lists": (lambda f: [(f / name).unlink() for name in ("train.txt", "test.txt")], "list-missing"),
    "list of others": (text("train.txt", lambda _: "a\nb\n"), "features-missing"),
    "list of paths": (text("train.txt", lambda _: "../v01\n"), "video-id"),
    "list no text": (lambda f: (f / "train.txt").write_bytes(b"v\xff\n"), "list-unreadable"),
    "twice": (text("train.txt", lambda old: old + "\nv01.mp4"), "list-duplicate"),
    "fps 0": (fact(fps=0), "dataset-json"),
    "dim 9": (fact(feature_dim=9), "features-dimension"),
    "no classes": (fact(classes=[]), "dataset-json"),
    "odd rate": (lambda f: (f / "fps.json").write_text('{"v01": -3}'), "fps"),
    "deep": (lambda f: (f / "dataset.json").write_text("[" * 10**5), "json-unreadable"),
    "no folder": (lambda f: shutil.rmtree(f / "features"), "features-missing"),
}

ACCEPTED: dict[str, Spoil] = {
    "as it is": lambda f: None,
    "float64": feature(lambda x: x.astype(np.float64)),
    "float16": feature(lambda x: x.astype(np.float16)),
    "big-endian": feature(lambda x: x.astype(">f4")),
    "int64": feature(lambda x: (x * 10).astype(np.int64)),
    "uint8": feature(lambda x: np.abs(x).astype(np.uint8)),
    "fortran": feature(np.asfortranarray),
    "constant": feature(np.ones_like),
    "large": put(1e14),
    "tiny": feature(lambda x: x * 1e-30),
    "archive": archived(),
    "archive of several": archived(other=np.ones(3)),
    "archive of one": lambda f: (archived()(f), np.savez_compressed(f / "features" / "v01.npz", x=np.ones((90, DIM)))),
    "archive with a key": lambda f: (archived(other=np.ones((90, DIM)))(f), fact(feature_key="other")(f)),
    "nothing in one video": text("points.csv", lambda old: "\n".join(x for x in old.splitlines() if ",v01," not in x)),
    "no truth": lambda f: (f / "gt.json").unlink(),
    "no test list": lambda f: (f / "test.txt").unlink(),
    "click at the very end": point(f"wave,v01,{90 * 5}"),
    "click at zero": point("wave,v01,0"),
    "the same click": lambda f: (point("wave,v01,10")(f), point("wave,v01,10")(f)),
    "two classes at once": lambda f: (point("wave,v01,10")(f), point("push,v01,10")(f)),
    "list in another form": text("train.txt", lambda old: "\ufeff" + old.replace("\n", ".mp4 \r\n")),
    "stranger": point("wave,elsewhere,10"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_training_refuses_the_check_reports(toy, tmp_path, name):
    folder = Path(shutil.copytree(toy, tmp_path / "d"))
    spoil, code = REFUSED[name]
    spoil(folder)
    assert agree(folder, tmp_path / "run") == code


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_the_check_accepts_training_starts_on(toy, tmp_path, name):
    folder = Path(shutil.copytree(toy, tmp_path / "d"))
    ACCEPTED[name](folder)
    assert check_dataset(folder).errors == []
    assert agree(folder, tmp_path / "run") == ""


@settings(max_examples=examples(12, 25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(names=["list no text", "no folder"], number=0)
@given(names=st.lists(st.sampled_from([*REFUSED, *ACCEPTED]), min_size=2, max_size=4), number=st.integers(0, 10**9))
def test_any_mixture_of_faults(toy, tmp_path, names, number):
    folder = tmp_path / f"d{number}"
    shutil.rmtree(folder, ignore_errors=True)  # of an example that failed
    shutil.copytree(toy, folder)
    for name in names:
        spoil = REFUSED[name][0] if name in REFUSED else ACCEPTED[name]
        try:
            spoil(folder)
        except (OSError, ValueError, KeyError, IndexError, RecursionError, UnicodeDecodeError):
            continue  # one fault took away what the next one needs
    agree(folder, tmp_path / f"run{number}")
    shutil.rmtree(folder)


@settings(max_examples=examples(12, 25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=3),
    dim=st.integers(1, 3),
    classes=st.integers(1, 3),
    seed=st.integers(0, 99),
    number=st.integers(0, 10**9),
)
def test_data_sets_of_almost_nothing(tmp_path, lengths, dim, classes, seed, number):
    rng = np.random.default_rng(seed)
    folder = tmp_path / f"s{number}"
    (folder / "features").mkdir(parents=True, exist_ok=True)
    rows = ["class,video_id,time_s"]
    for i, length in enumerate(lengths):
        np.save(folder / "features" / f"v{i}.npy", rng.integers(-2, 3, (length, dim)))
        rows += [f"c{rng.integers(classes)},v{i},{rng.uniform(0, length):.2f}" for _ in range(rng.integers(0, 4))]
    (folder / "points.csv").write_text("\n".join(rows))
    (folder / "train.txt").write_text("\n".join(f"v{i}" for i in range(len(lengths))))
    names = [f"c{i}" for i in range(classes)]
    facts = {"name": "s", "classes": names, "fps": 1, "snippet_frames": 1, "feature_dim": dim}
    (folder / "dataset.json").write_text(json.dumps(facts))
    agree(folder, tmp_path / f"run{number}")
    shutil.rmtree(folder)


@pytest.mark.slow
def test_one_click_in_one_snippet_trains_with_the_default_recipe(tmp_path, capsys):
    folder = tmp_path / "d"
    (folder / "features").mkdir(parents=True)
    np.save(folder / "features" / "v.npy", np.ones((1, 2), np.float32))
    facts = {"name": "s", "classes": ["a"], "fps": 1, "snippet_frames": 1, "feature_dim": 2}
    (folder / "dataset.json").write_text(json.dumps(facts))
    (folder / "train.txt").write_text("v")
    (folder / "points.csv").write_text("class,video_id,time_s\na,v,0.5\n")
    assert check_dataset(folder).errors == []
    assert invoke(["train", str(folder), "--out", str(tmp_path / "run"), "--epochs", "1"]) == 0, capsys.readouterr().err


def test_the_advice_fits_the_number_type(toy, tmp_path):
    folder = Path(shutil.copytree(toy, tmp_path / "d"))
    for i, kind in enumerate(("float16", "float64", "int32")):
        np.save(folder / "features" / f"v0{i}.npy", (np.load(folder / "features" / f"v0{i}.npy") * 9).astype(kind))
    found = {f.message.split()[2]: f.fix for f in check_dataset(folder).findings}
    assert "half" in found["float64,"] and found["float64,"].startswith("save")
    assert found["float16,"].startswith("nothing") and found["int32,"].startswith("nothing")
