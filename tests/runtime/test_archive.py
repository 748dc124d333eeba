"""Archives: the events of `localize`, once each, however the work is portioned and however often it is begun."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="archives need pyarrow (the extra `archive`)")
pytest.importorskip("onnxruntime", reason="scoring needs onnxruntime")
import pyarrow.dataset
import pyarrow.parquet
from punctum.runtime import Bundle
from punctum.runtime.archive import ArchiveOptions, read_events, read_items, score_archive
from punctum.runtime.archive._groups import make_groups
from punctum.runtime.archive._items import Item, Task
from punctum.runtime.archive.tables import EVENTS_SCHEMA
from punctum.runtime.bundle.operating_point import OperatingPoint, minimum
from punctum.runtime.errors import InputError, PunctumError

from tests.helpers import archives
from tests.helpers.archives import score


@pytest.fixture(scope="module")
def bundle():
    return Bundle.load(archives.DEMO)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    return archives.make_archive(tmp_path_factory.mktemp("recordings"), 12)


@pytest.fixture(scope="module")
def wanted(recordings):
    found = archives.expected(recordings)
    assert sum(map(len, found.values())) > 100
    return found


@pytest.fixture(scope="module")
def scored(bundle, recordings, tmp_path_factory):
    """One worker, items of a group through common runs."""
    out = tmp_path_factory.mktemp("scored") / "out"
    options = ArchiveOptions(workers=1, group_items=5, formats=("parquet", "jsonl", "activitynet"), min_score=0.0)
    summary = score_archive(bundle, [str(recordings)], out, options, progress=False)
    assert (summary.items, summary.scored, summary.failed) == (12, 12, 0)
    return out


def by_item(out):
    found = {row["item"]: [] for row in read_items(out)}
    for name, event in read_events(out):
        found[name].append(event)
    return found


@pytest.fixture
def own(recordings, tmp_path):
    """A copy to change."""
    return Path(shutil.copytree(recordings, tmp_path / "own"))


def test_events_are_those_of_localize(scored, wanted):
    found = by_item(scored)
    assert list(found) == sorted(wanted)
    for name, events in wanted.items():
        archives.same(found[name], events)


@pytest.mark.parametrize("group_items", [1, 12])
def test_portions_do_not_matter(bundle, recordings, wanted, tmp_path, group_items):
    score(bundle, [recordings], tmp_path / "out", group_items=group_items)
    found = by_item(tmp_path / "out")
    for name, events in wanted.items():
        archives.same(found[name], events)


@pytest.mark.slow
def test_two_workers_give_the_same_bytes(bundle, recordings, scored, tmp_path):
    score(bundle, [recordings], tmp_path / "out", workers=2, formats=("parquet", "jsonl", "activitynet"))
    assert archives.content(tmp_path / "out") == archives.content(scored)


def test_results_can_be_read_by_anyone(scored, bundle, wanted):
    count = sum(map(len, wanted.values()))
    table = pyarrow.dataset.dataset(scored / "events", format="parquet").to_table()
    assert len(table) == count
    assert set(table["bundle"].to_pylist()) == {bundle.id}
    part = next((scored / "events").glob("*/*.parquet"))
    metadata = pyarrow.parquet.read_schema(part).metadata
    assert metadata[b"punctum.schema"].decode() == EVENTS_SCHEMA
    assert metadata[b"punctum.bundle"].decode() == bundle.id
    assert len((scored / "events.jsonl").read_text().splitlines()) == count
    results = json.loads((scored / "activitynet.json").read_text())["results"]
    assert {name: len(rows) for name, rows in results.items()} == {
        name.removesuffix(".npy"): len(events) for name, events in wanted.items()
    }


def test_a_second_run_does_nothing(bundle, recordings, scored):
    before = archives.content(scored)
    summary = score(bundle, [recordings], scored, formats=("parquet", "jsonl", "activitynet"))
    assert (summary.skipped, summary.scored, summary.failed) == (12, 0, 0)
    assert archives.content(scored) == before


def test_changed_items_are_redone_and_touched_ones_are_not(bundle, own, tmp_path):
    out = tmp_path / "out"
    score(bundle, [own], out)
    np.save(own / "s001.npy", archives.make_sequence(99, seconds=25).features)
    os.utime(own / "s002.npy", ns=(1, 1))
    summary = score(bundle, [own], out)
    assert (summary.skipped, summary.scored, summary.unchanged) == (10, 1, 1)
    found, wanted = by_item(out), archives.expected(own)
    for name, events in wanted.items():
        archives.same(found[name], events)
    table = pyarrow.dataset.dataset(out / "events", format="parquet").to_table()
    assert len(table) == sum(map(len, wanted.values()))
    assert score(bundle, [own], out).skipped == 12


def test_new_items_are_added_and_absent_ones_stay(bundle, own, tmp_path):
    out = tmp_path / "out"
    (own / "s003.npy").rename(tmp_path / "s003.npy")
    score(bundle, [own], out)
    summary = score(bundle, [tmp_path / "s003.npy"], out)
    assert (summary.items, summary.scored) == (1, 1)
    assert len(read_items(out)) == 12


def test_rehash_finds_what_hides_behind_size_and_time(bundle, own, tmp_path):
    out = tmp_path / "out"
    score(bundle, [own], out)
    path, before = own / "s001.npy", (own / "s001.npy").stat()
    data = np.load(path)
    np.save(path, np.roll(data, 30, axis=0))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert score(bundle, [own], out).skipped == 12
    summary = score(bundle, [own], out, rehash=True)
    assert (summary.scored, summary.unchanged) == (1, 11)


def make_broken(folder: Path) -> dict[str, str]:
    """Features that cannot be used, by name, and the code of the error of each."""
    whole = (folder / "s005.npy").read_bytes()
    data = np.load(folder / "s005.npy")
    (folder / "cut.npy").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.npy").touch()
    (folder / "text.npy").write_text("no array\n" * 100)
    np.save(folder / "narrow.npy", data[:, :5])
    np.save(folder / "flat.npy", data[:, 0])
    np.save(folder / "none.npy", data[:0])
    np.save(folder / "words.npy", np.array([["a", "b"]]))
    np.save(folder / "pickle.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    for name, shape in (("endless", (10**12, 8)), ("overlong", (10**30, 8)), ("unclosed", "(5, 8")):
        head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}\n".encode()
        (folder / f"{name}.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + bytes(160))
    broken = data.copy()
    broken[7, 3] = np.nan
    np.save(folder / "nan.npy", broken)
    return {
        "cut.npy": "features-unreadable",
        "empty.npy": "features-unreadable",
        "text.npy": "features-unreadable",
        "narrow.npy": "features-dimension",
        "flat.npy": "features-shape",
        "none.npy": "features-empty",
        "words.npy": "features-dtype",
        "pickle.npy": "features-unreadable",
        "endless.npy": "features-unreadable",
        "overlong.npy": "features-unreadable",
        "unclosed.npy": "features-unreadable",
        "nan.npy": "features-not-finite",
    }


def test_items_that_fail_are_recorded_and_the_others_are_done(bundle, own, wanted, tmp_path):
    codes, out = make_broken(own), tmp_path / "out"
    summary = score(bundle, [own], out, group_items=7, workers=1)
    assert (summary.scored, summary.failed) == (12, len(codes))
    assert {name: code for name, (code, _) in summary.errors.items()} == codes
    assert {row["item"]: row["error_code"] for row in read_items(out) if row["status"] == "failed"} == codes
    found = by_item(out)
    for name, events in wanted.items():
        archives.same(found[name], events)
    again = score(bundle, [own], out)
    assert (again.scored, again.failed, again.failed_before, again.skipped) == (0, 0, len(codes), 12)
    shutil.copy(own / "s005.npy", own / "cut.npy")  # mended: it is another file now
    again = score(bundle, [own], out)
    assert (again.scored, again.failed_before) == (1, len(codes) - 1)
    again = score(bundle, [own], out, retry_failed=True)
    assert (again.scored, again.failed, again.failed_before) == (0, len(codes) - 1, 0)


def test_a_scored_item_that_breaks_loses_its_events(bundle, own, tmp_path):
    out = tmp_path / "out"
    score(bundle, [own], out)
    (own / "s001.npy").write_bytes(b"gone")
    assert score(bundle, [own], out).failed == 1
    assert not by_item(out)["s001.npy"]
    table = pyarrow.dataset.dataset(out / "events", format="parquet").to_table()
    assert "s001.npy" not in table["item"].to_pylist()


def test_long_features_are_read_in_blocks(bundle, recordings, wanted, tmp_path, monkeypatch):
    from punctum.runtime.archive import _groups, _scorer

    monkeypatch.setattr(_scorer, "STREAMED_BYTES", 1)
    scorer = _scorer.Scorer(bundle, ArchiveOptions(min_score=0.0))
    from punctum.runtime.archive.inputs import find_items

    items = find_items([str(recordings)])
    outcome = scorer.score(make_groups([Task(item) for item in items], archive_items=1, most=100)[0])
    assert [record.status for record in outcome.records] == ["done"] * 12
    path = tmp_path / "part.parquet"
    path.write_bytes(outcome.part)
    found = {}
    for item, event in _scorer_events(path):
        found.setdefault(item, []).append(event)
    for name, events in wanted.items():
        archives.same(found[name], events)
    assert _groups.STREAMED_BYTES > 1


def _scorer_events(path):
    from punctum.runtime.archive.tables import events_of

    return events_of(pyarrow.parquet.read_table(path))


def test_min_score_and_labels(bundle, recordings, wanted, tmp_path):
    score(bundle, [recordings], tmp_path / "out", min_score=0.3, labels=("lift", "wave"))
    found = by_item(tmp_path / "out")
    for name, events in wanted.items():
        archives.same(found[name], [e for e in events if e.score >= 0.3 and e.label in ("lift", "wave")])


def test_one_folder_holds_results_of_one_choice(bundle, recordings, tmp_path):
    out = tmp_path / "out"
    score(bundle, [recordings], out)
    before = archives.content(out)
    with pytest.raises(InputError) as caught:
        score(bundle, [recordings], out, min_score=0.5)
    assert caught.value.code == "archive-differs"
    assert archives.content(out) == before
    summary = score(bundle, [recordings], out, min_score=0.5, replace=True)
    assert summary.scored == 12
    assert all(event.score >= 0.5 for _, event in read_events(out))
    assert score(bundle, [recordings], out, min_score=0.5, replace=True).skipped == 12


def test_a_folder_with_something_else_is_left_alone(bundle, recordings, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError) as caught:
        score(bundle, [recordings], tmp_path, replace=True)
    assert caught.value.code == "output-exists"
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_inputs_of_every_form_name_the_same_recordings(bundle, own, scored, tmp_path):
    lists = tmp_path / "lists"
    lists.mkdir()
    names = sorted(path.relative_to(own).as_posix() for path in own.rglob("*.npy"))
    (own / "all.txt").write_text("# everything\n\n" + "\n".join(names) + "\n")
    for i, inputs in enumerate([[own / "all.txt"], [own / "**" / "*.npy"], [own, own / "all.txt"]]):
        score(bundle, inputs, tmp_path / str(i))
        assert archives.content(tmp_path / str(i))["items.parquet"] == archives.content(scored)["items.parquet"]


def test_a_missing_path_in_a_list_fails_by_itself(bundle, own, tmp_path):
    (own / "some.txt").write_text("s001.npy\nabsent.npy\n")
    summary = score(bundle, [own / "some.txt"], tmp_path / "out")
    assert summary.scored == 1
    assert summary.errors["absent.npy"][0] == "features-missing"


def test_an_archive_file_through_fsspec(bundle, own, wanted, tmp_path):
    pytest.importorskip("fsspec", reason="addresses need fsspec (the extra `archive`)")
    shutil.make_archive(str(tmp_path / "packed"), "zip", own)
    summary = score(bundle, [f"zip://**/*.npy::file://{tmp_path / 'packed.zip'}"], tmp_path / "out")
    assert (summary.items, summary.failed) == (12, 0)
    found = by_item(tmp_path / "out")
    for name, events in wanted.items():
        archives.same(found[name], events)
    assert score(bundle, [f"zip://**/*.npy::file://{tmp_path / 'packed.zip'}"], tmp_path / "out").skipped == 12


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda d: [d / "nowhere"], "input-missing"),
        (lambda d: [d / "cam4" / "*.mp4"], "inputs-empty"),
        (lambda d: ["rtsp://user:secret@camera/1"], "needs-stream"),
        (lambda d: ["nosuchscheme://bucket/x.npy"], "remote-unreadable"),
        (lambda d: ["file://" + str(d / "absent.npy")], "remote-unreadable"),
    ],
)
def test_inputs_that_name_nothing(bundle, own, tmp_path, make, code):
    with pytest.raises(InputError) as caught:
        score(bundle, make(own), tmp_path / "out")
    assert caught.value.code == code
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_names_that_are_no_utf8_are_spelled_out(bundle, own, tmp_path):
    for name, source in ((b"a\xff.npy", own / "s000.npy"), (b"b\xfe.npy", None)):
        place = Path(os.fsdecode(os.fsencode(own / "cam4") + b"/" + name))
        try:
            place.write_bytes(source.read_bytes() if source else b"text")
        except OSError:
            pytest.skip("this file system takes names of UTF-8 only")
    summary = score(bundle, [own], tmp_path / "out")
    assert {name: code for name, (code, _) in summary.errors.items()} == {"cam4/b\\xfe.npy": "features-unreadable"}
    assert by_item(tmp_path / "out")["cam4/a\\xff.npy"]
    summary.errors["line\nbreak \x1b[31m é"] = ("code", "message")
    assert summary.lines()[-1] == "  line\\nbreak \\x1b[31m é: [code] message"
    assert score(bundle, [own], tmp_path / "out").skipped == 13


def test_two_recordings_of_one_name_are_refused(bundle, own, tmp_path):
    shutil.copy(own / "s000.npy", own / "cam4" / "s000.npy")
    with pytest.raises(InputError) as caught:
        score(bundle, [own / "s000.npy", own / "cam4" / "s000.npy"], tmp_path / "out")
    assert caught.value.code == "item-name-twice"
    summary = score(bundle, [own / "s000.npy", own / "cam4" / "s000.npy"], tmp_path / "out", root=str(own))
    assert summary.scored == 2
    assert [row["item"] for row in read_items(tmp_path / "out")] == ["cam4/s000.npy", "s000.npy"]


def test_a_data_set_folder(bundle, tmp_path):
    from punctum.runtime.synthetic.sensors import write_demo_dataset

    write_demo_dataset(tmp_path / "data", videos=4, seed=3, seconds=20)
    summary = score(bundle, [tmp_path / "data"], tmp_path / "out")
    assert (summary.items, summary.scored) == (4, 4)
    facts = json.loads((tmp_path / "data" / "dataset.json").read_text())
    (tmp_path / "data" / "dataset.json").write_text(json.dumps({**facts, "fps": 7}))
    summary = score(bundle, [tmp_path / "data"], tmp_path / "other")
    assert {code for code, _ in summary.errors.values()} == {"features-stride"}


def test_a_run_that_is_on_locks_its_folder(bundle, recordings, tmp_path):
    from punctum.runtime.archive._open import open_archive

    head = {"bundle": bundle.id, "settings": ArchiveOptions(min_score=0.0).settings()}
    with open_archive(tmp_path / "out", head):
        with pytest.raises(InputError) as caught:
            score(bundle, [recordings], tmp_path / "out")
    assert caught.value.code == "output-locked"
    assert str(os.getpid()) in str(caught.value)
    assert score(bundle, [recordings], tmp_path / "out").scored == 12


def test_a_cut_ledger_and_stray_parts_are_mended(bundle, recordings, scored, tmp_path):
    out = Path(shutil.copytree(scored, tmp_path / "out"))
    before = archives.content(out)
    ledger = out / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes()[:-30])
    part = next((out / "events").glob("*/*.parquet"))
    shutil.copy(part, part.with_name("part-stray.parquet"))
    (part.parent / f".{part.name}.x1y2").write_bytes(b"half")
    summary = score(bundle, [recordings], out, formats=("parquet", "jsonl", "activitynet"))
    assert 0 < summary.scored <= 5
    assert archives.content(out) == before


def test_a_part_that_was_deleted_is_made_again(bundle, recordings, scored, tmp_path):
    out = Path(shutil.copytree(scored, tmp_path / "out"))
    before = archives.content(out)
    next((out / "events").glob("*/*.parquet")).unlink()
    assert score(bundle, [recordings], out).scored > 0
    assert archives.content(out) == before


@pytest.mark.parametrize("name", ["archive.json", "ledger.jsonl"])
def test_a_damaged_folder_is_refused(bundle, recordings, scored, tmp_path, name):
    out = Path(shutil.copytree(scored, tmp_path / "out"))
    (out / name).write_text("{broken\n" * 3)
    with pytest.raises(InputError):
        score(bundle, [recordings], out)


@pytest.mark.parametrize(
    "options",
    [
        {"min_score": 2.0},
        {"workers": -1},
        {"threads": 0},
        {"formats": ("xml",)},
        {"kind": "sound"},
        {"engine": "spark"},
    ],
)
def test_options_that_make_no_sense(options):
    with pytest.raises(InputError):
        ArchiveOptions(**options)


def test_what_the_bundle_does_not_have(bundle, recordings, tmp_path):
    for options in ({"labels": ("fly",)}, {"precision": "fp4"}, {"device": "abacus"}):
        with pytest.raises(PunctumError):
            score(bundle, [recordings], tmp_path / "out", workers=1, **options)


def test_groups_are_the_same_when_some_of_the_archive_is_done():
    items = [Item(f"{i:04d}.npy", (f"{i:04d}.npy",), "features", 1000 + i, "x") for i in range(500)]
    groups = make_groups([Task(item) for item in items], archive_items=500)
    assert [t.item.name for g in groups for t in g.tasks] == [i.name for i in items]
    assert max(len(g.tasks) for g in groups) == 500 // 32
    big = Item("big.npy", ("big.npy",), "features", 1 << 30, "x")
    groups = make_groups([Task(i) for i in [*items[:3], big, *items[3:6]]], archive_items=500)
    assert [len(g.tasks) for g in groups] == [3, 1, 3]


def test_without_a_minimum_that_of_the_bundle_holds(bundle, recordings, wanted, tmp_path):
    score(bundle, [recordings], tmp_path / "out", min_score=None)
    least = OperatingPoint().of(bundle.manifest.calibration, bundle.labels)
    found = by_item(tmp_path / "out")
    for name, events in wanted.items():
        archives.same(found.get(name, []), [e for e in events if e.score >= minimum(least, e.label)])
    assert 0 < sum(map(len, found.values())) < sum(map(len, wanted.values()))
