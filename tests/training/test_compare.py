"""Runs on several backbones, compared by their events on held-out videos; videos in groups."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime import Dataset, InputError
from punctum.runtime.backbone.folder import read_backbone, write_backbone
from punctum.runtime.datasets.check import check_dataset
from punctum.runtime.datasets.groups import read_groups
from punctum.runtime.diagnosis.held_out import HeldOut, HeldOutVideo, read_held_out, write_held_out
from punctum.training.candidates import (
    CANDIDATES,
    Candidate,
    compare_candidates,
    copy_backbone,
    move_chosen,
    name_candidates,
    read_choice,
    warn_of_trained,
    write_shipped_backbone,
)
from punctum.training.confidence.compare import choose_run, compare_runs
from punctum.training.confidence.folds import fold_of_videos
from punctum.training.data.videos import load_training_set

from .conftest import make_dataset

LABELS = ("a", "b")
VIDEOS = [f"v{k}" for k in range(16)]


def run_with(errors: dict[str, float], *, seed: int = 0) -> HeldOut:
    """Events beside four actions in each video; by video, the share of them whose score is below that of an event
    that is nowhere near an action."""
    rng = np.random.default_rng(seed)
    videos = {}
    for video in VIDEOS:
        spans = [(k % 2, 10.0 * k + 2, 10.0 * k + 6) for k in range(4)]
        rows = [(c, a + 0.2, b, 0.2 if rng.random() < errors.get(video, 0.0) else 0.8) for c, a, b in spans]
        rows += [(k % 2, 10.0 * k + 7.5, 10.0 * k + 9.5, 0.5) for k in range(4)]
        videos[video] = HeldOutVideo(0, 40.0, tuple(rows), tuple(spans))
    return HeldOut(LABELS, videos, None)


def test_a_better_run_is_chosen_and_an_equal_one_is_not():
    poor, good = run_with(dict.fromkeys(VIDEOS, 0.6)), run_with({})
    first, second = compare_runs({"shipped": poor, "parts": good})
    assert (first.gain, first.least_gain, first.most_gain) == (0, 0, 0)
    assert 0 < second.least_gain <= second.gain <= second.most_gain
    assert choose_run([first, second]) == 1
    equal = compare_runs({"shipped": good, "parts": good})
    assert equal[1].gain == 0 and choose_run(equal) == 0
    worse = compare_runs({"shipped": good, "parts": poor})
    assert worse[1].gain < 0 and choose_run(worse) == 0
    assert compare_runs({"shipped": poor, "parts": good}) == [first, second]  # the same draws


def test_the_highest_lower_end_counts():
    runs = {"shipped": run_with(dict.fromkeys(VIDEOS, 0.9)), "some": run_with(dict.fromkeys(VIDEOS, 0.4))}
    compared = compare_runs(runs | {"best": run_with({})})
    assert choose_run(compared) == 2
    assert choose_run([compared[0]]) == 0


def test_a_gain_must_be_worth_the_change():
    compared = compare_runs({"first": run_with({VIDEOS[0]: 0.5}), "second": run_with({})})
    assert compared[1].gain > 0
    certain = [compared[0], replace(compared[1], least_gain=1e-4)]
    assert choose_run(certain, worth=compared[1].gain) == 1
    assert choose_run(certain, worth=compared[1].gain + 1e-6) == 0
    uncertain = [compared[0], replace(compared[1], least_gain=-1e-4)]
    assert choose_run(uncertain, worth=0.0) == 0


def test_a_gain_in_one_group_only_is_not_certain():
    """Half of the videos are of one room, in which the second run is better: single videos hide that."""
    room = VIDEOS[:8]
    poor, good = run_with(dict.fromkeys(room, 0.9)), run_with({})
    alone = compare_runs({"shipped": poor, "parts": good})
    grouped = compare_runs({"shipped": poor, "parts": good}, groups={v: str(v in room) for v in VIDEOS})
    assert choose_run(alone) == 1 and choose_run(grouped) == 0
    assert grouped[1].gain == alone[1].gain and grouped[1].least_gain == 0


def test_draws_of_videos_without_an_action_do_not_count():
    """Most resamples of one video with actions and two without any hold no action at all, or many."""
    poor, good = run_with(dict.fromkeys(VIDEOS, 0.6)), run_with({})
    few = [HeldOut(LABELS, {v: each.videos[v] for v in VIDEOS[:3]}, None) for each in (poor, good)]
    for each in few:
        each.videos.update({v: replace(each.videos[v], segments=()) for v in VIDEOS[1:3]})
    first, second = compare_runs(dict(zip(("shipped", "parts"), few, strict=True)))
    assert first.gain == 0 and np.isfinite([second.accuracy, second.least_gain, second.most_gain]).all()


def test_a_class_that_no_fold_could_learn_does_not_count():
    """Class a is in the first video only, whose fold has learned b from the others."""
    poor, good = (run_with(errors) for errors in ({VIDEOS[0]: 1.0}, {}))
    for run in (poor, good):
        for k, video in enumerate(VIDEOS):
            each = run.videos[video]
            rows, spans = (tuple(row for row in table if row[0] == (k > 0)) for table in (each.rows, each.segments))
            run.videos[video] = replace(each, fold=k % 4, rows=rows, segments=spans)
    first, second = compare_runs({"shipped": poor, "parts": good})
    assert first.accuracy == second.accuracy > 0 and second.gain == second.least_gain == 0
    for run in (poor, good):
        run.videos.update({v: replace(run.videos[v], segments=()) for v in VIDEOS[1:]})
    compared = compare_runs({"shipped": poor, "parts": good})
    assert not np.isfinite([each.accuracy for each in compared]).any() and choose_run(compared) == 0


def test_runs_that_cannot_be_compared():
    one = run_with({})
    fewer = HeldOut(LABELS, {v: one.videos[v] for v in VIDEOS[:3]}, None)
    bare = HeldOut(LABELS, {v: replace(one.videos[v], segments=()) for v in VIDEOS}, None)
    for other in (fewer, bare):
        with pytest.raises(ValueError):
            compare_runs({"a": one, "b": other})


def test_pseudo_segments_stay_in_the_file_and_may_be_missing(tmp_path: Path):
    run = run_with({})
    write_held_out(tmp_path, run)
    assert read_held_out(tmp_path).videos == run.videos
    file = tmp_path / "held_out.json"
    file.write_text(file.read_text().replace('"segments"', '"other"'))
    assert not read_held_out(tmp_path).videos["v0"].segments
    write_held_out(tmp_path, run)
    file.write_text(file.read_text().replace("[0,2.0,6.0]", "[0,NaN,6.0]", 1))
    with pytest.raises(InputError, match="pseudo segment"):
        read_held_out(tmp_path)


def test_names_of_candidates(tmp_path: Path):
    named = name_candidates(["shipped", tmp_path / "a" / "net", tmp_path / "b" / "net", tmp_path / "shipped"])
    assert [each.name for each in named] == ["shipped", "net", "net-2", "shipped-2"]
    with pytest.raises(InputError, match="twice"):
        name_candidates([tmp_path / "a", tmp_path / "a"])


def test_a_run_keeps_the_backbone_that_it_began_with(tmp_path: Path):
    """Also where the other one has the same form, as one that was trained further has."""
    pytest.importorskip("onnxruntime", reason="opening a backbone needs onnxruntime")
    onnx = pytest.importorskip("onnx", reason="changing a graph needs onnx")
    out, other = tmp_path / "backbone", tmp_path / "other"
    first = write_shipped_backbone(out)
    assert write_shipped_backbone(out) == first == copy_backbone(out, tmp_path / "copy") | {"source": "shipped"}
    spec, graph = read_backbone(out)
    changed = onnx.load_from_string(graph)
    weights = next(t for t in changed.graph.initializer if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) == 4)
    values = 1.01 * onnx.numpy_helper.to_array(weights)
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    write_backbone(other, spec.model_copy(update={"fingerprint": None}), changed.SerializeToString())
    for write in (lambda: copy_backbone(other, out), lambda: write_shipped_backbone(other)):
        with pytest.raises(InputError, match="another backbone"):
            write()


def test_the_comparison_is_recorded_and_the_chosen_parts_are_moved(tmp_path: Path):
    candidates = [Candidate("shipped", "shipped"), Candidate("net", tmp_path / "net")]
    runs = (run_with(dict.fromkeys(VIDEOS, 0.7)), run_with({}))
    for each, run in zip(candidates, runs, strict=True):
        folder = tmp_path / CANDIDATES / each.name
        for part in ("backbone", "data", "locator"):
            (folder / part).mkdir(parents=True)
        write_held_out(folder / "locator", run)
    record = compare_candidates(candidates, ["d1", "d2"], tmp_path, seed=0)
    assert record["chosen"] == "net" and [row["digest"] for row in record["candidates"]] == ["d1", "d2"]
    assert read_choice(candidates, tmp_path) == record
    with pytest.raises(InputError, match="same backbones"):
        read_choice(candidates[::-1], tmp_path)
    for _ in range(2):  # again after a crash between two parts
        move_chosen("net", tmp_path, ("backbone", "data", "locator"))
    assert (tmp_path / "locator" / "held_out.json").is_file()
    assert (tmp_path / CANDIDATES / "shipped" / "locator").is_dir()


def test_without_held_out_events_the_first_one_is_taken(tmp_path: Path):
    record = compare_candidates(
        [Candidate("shipped", "shipped"), Candidate("net", tmp_path)], ["", ""], tmp_path, seed=0
    )
    assert record["chosen"] == "shipped" and record["candidates"][1]["accuracy"] is None


def test_groups_are_held_out_together(tmp_path: Path):
    folder = make_dataset(tmp_path / "toy")
    names = Dataset.open(folder).train
    rows = [f"{name}.mp4,room{k % 4}" for k, name in enumerate(names)]
    (folder / "groups.csv").write_text("\n".join(["video_id,group", *rows, "unknown,room9"]) + "\n")
    data = load_training_set(Dataset.open(folder))
    assert [s.group for s in data.samples] == [f"room{k % 4}" for k in range(len(names))]
    assigned = fold_of_videos(data, 3, seed=0)
    for k in range(4):
        assert len({assigned[i] for i in range(k, len(names), 4)}) == 1
    assert set(assigned) == {0, 1, 2}
    one_room = replace(data, samples=tuple(replace(s, group="x") for s in data.samples))
    assert fold_of_videos(one_room, 3, seed=0) == []


@pytest.mark.parametrize("named", [0, 1])
def test_training_videos_without_a_group_are_named(tmp_path: Path, named: int):
    folder = make_dataset(tmp_path / "toy")
    names = Dataset.open(folder).train
    rows = [f"{name}-typo,room" for name in names[named:]] + [f"{name},room" for name in names[:named]]
    (folder / "groups.csv").write_text("\n".join(["video_id,group", *rows]) + "\n")
    with pytest.warns(UserWarning, match=rf"no group for {len(names) - named} of {len(names)} training videos"):
        load_training_set(Dataset.open(folder))
    assert "groups-missing" in {each.code for each in check_dataset(folder).findings}


@pytest.mark.parametrize(
    "text",
    ["video_id\nv0\n", "video_id,group\nv0,\n", "video_id,group\nv0,a\nv0.mp4,b\n", "\0", "video_id,group,group\n"],
)
def test_groups_that_cannot_be_read(tmp_path: Path, text: str):
    (tmp_path / "groups.csv").write_text(text)
    with pytest.raises(InputError, match=r"groups\.csv"):
        read_groups(tmp_path, ["v0"])


def test_a_backbone_that_was_trained_here_is_warned_of(tmp_path: Path, recwarn):
    (tmp_path / "mine").mkdir()
    warn_of_trained(["shipped", tmp_path / "mine"])
    assert not len(recwarn)
    (tmp_path / "mine" / "weights.safetensors").write_bytes(b"x")
    with pytest.warns(UserWarning, match="no video is held out from it"):
        warn_of_trained(["shipped", tmp_path / "mine"])


def test_a_part_that_was_trained_here_is_warned_of(tmp_path: Path):
    for name in ("onnxruntime", "onnx"):
        pytest.importorskip(name, reason=f"composing a backbone needs {name}")
    from punctum.runtime.cli import invoke

    write_shipped_backbone(tmp_path / "mine")
    command = ["backbones", "compose", "--part", "motion", "--part", f"{tmp_path / 'mine'},name=mine", "--out"]
    for name, warned in (("plain", False), ("parts", True)):
        if warned:
            (tmp_path / "mine" / "weights.safetensors").write_bytes(b"x")
        assert invoke([*command, str(tmp_path / name)]) == 0
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warn_of_trained([tmp_path / name])
        assert bool(caught) == warned
