"""Tables, names and durations: what a person meant, or a refusal with the reason, and never something else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from punctum.runtime.cli import invoke
from punctum.runtime.convert import Mark, ReadOptions, Timelines, WriteOptions, convert, read_rates
from punctum.runtime.datasets.dataset import read_truth
from punctum.runtime.errors import InputError
from punctum.runtime.evaluation.average_precision import evaluate
from punctum.runtime.evaluation.detections import read_detections

from tests.helpers import converting as make

read, write, told, region, task, cvat, shape = (
    make.read,
    make.write,
    make.told,
    make.region,
    make.task,
    make.cvat,
    make.shape,
)


def refused(what: str, call, *arguments, **options) -> InputError:
    with pytest.raises(InputError, match=what) as caught:
        call(*arguments, **options)
    assert caught.value.next_step
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        "Class;Video_ID;Start (s);End (s)\ntake;v;1;2,5\n",
        "sep=;\nclass;video_id;start_s;end_s\ntake;v;1,0;2,5\n",
        "CLASS\tVIDEO\tSTART\tEND\ntake\tv\t1\t2,5\n",
        "\ufeffLabel,Filename,Begin Time,Stop Time\ntake,v,00:00:01,0:02.5\n",
        'class,video,start,end\ntake,v,"1,0","2,5"\n',
        "activity,video,start,duration\ntake,v,1,1.5\n",
        "onset\tduration\ttrial_type\tvideo\n1.0\t1.5\ttake\tv\n",
        "class;video;start;end\ntake;v;0:01,0;0:02,5\n",
        "class,video,start_ms,end_ms\ntake,v,1000,2500\n",
        "class,video,start,end\ntake,v,00:00:01:00,00:00:02:05\n",
        "class,video,start_frame,end_frame\ntake,v,10,25\n",
        "class, video ,start,end\n take , v ,1 , 2.5\n\n",
    ],
)
def test_tables_of_spreadsheets(text):
    for data in (text.encode(), text.removeprefix("\ufeff").encode("utf-16")):
        lines = read("csv", data)
        assert told(lines) == [("take", 1.0, 2.5)]
        assert lines.videos == ("v",)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("class,video_id,time_s\npour,v1,12,5\n", "unquoted decimal comma"),
        ("class,video_id,start_s,end_s\npour,v1,1,5,2,75\n", "unquoted decimal comma"),
        ("class,video_id,time_s,note\npour,v1,12,5,\n", "unquoted decimal comma"),
        ('class,video_id,time_s\npour,v1,"1,234"\n', "separator of thousands"),
        ("class;video_id;time_s\npour;v1;12,5\npour;v1;1.234\n", "next to decimal commas"),
        ("class,video_id,time_s\npour,v1,1:75\n", "59"),
        ("class,video_id,time_s\npour,v1,1_000\n", "not a number"),
        ("class,video_id,time_s,Time_S\npour,v1,1,2\n", "2 columns called time_s"),
        ("class,video_id,start,end\npour,v1,00:00:01:30,00:00:02:00\n", "time code"),
        ("class,video_id,point\npour,v1,00:00:01\n", "not a number"),
    ],
)
def test_tables_that_say_two_things_are_refused(text, what):
    refused(what, read, "csv", text)


def test_epic_kitchens_and_other_columns():
    text = "video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,stop_frame,narration,verb,noun\n"
    text += "P01_01,00:00:01.089,00:00:00.14,00:00:03.37,8,202,open the door,open,door\n"
    lines = read("csv", text, rates=read_rates(None))
    assert told(lines) == [("open door", 0.14, 3.37)]
    assert any("verb and noun" in note for note in lines.notes)
    assert told(read("csv", text, label_column="narration")) == [("open the door", 0.14, 3.37)]
    assert told(read("csv", text, label_column="Verb")) == [("open", 0.14, 3.37)]
    refused("label_column", read, "csv", text, label_column="nothing")


def test_confidence_outside_its_range_is_said():
    lines = read("csv", "class,video_id,start_s,end_s,score\ntake,v,1,5,20\n")
    assert "confidence outside 0 to 1: of 1 annotation" in lines.notes


def test_rates_as_fractions(tmp_path):
    text = "class,video_id,point\ntake,v,30000\n"
    (mark,) = read("csv", text, rates=read_rates("30000/1001")).marks
    assert mark.start == pytest.approx(1001.0)
    assert read_rates("29,97").everywhere == 29.97
    for wrong in ("1/0", "30000/", "x/y", "25 fps"):
        refused("rate", read_rates, wrong)
    path = tmp_path / "fps.json"
    path.write_text('{"v": "24000/1001"}')
    assert read_rates(str(path)).known("v") == pytest.approx(23.976, abs=1e-3)


# --- Names ---


def test_videos_named_by_files_are_one_video_or_refused():
    head = "class,video,time_s\n"
    lines = read("csv", head + "take,kitchen,1\ntake,kitchen.mp4,2\ntake, kitchen.mp4 ,3\n")
    assert lines.videos == ("kitchen",)
    assert any("'kitchen' for 'kitchen.mp4'" in note for note in lines.notes)
    twice = head + "take,a/kitchen.mp4,1\ntake,b/kitchen.mp4,2\n"
    assert refused("would be called 'kitchen'", read, "csv", twice).code == "video-ambiguous"
    assert read("csv", twice, same_video="apart").videos == ("a/kitchen", "b/kitchen")
    assert read("csv", twice, same_video="merge").videos == ("kitchen",)
    endings = head + "take,videos/kitchen.mp4,1\ntake,kitchen.avi,2\ntake,C:\\data\\kitchen.mp4,3\n"
    refused("kitchen.avi", read, "csv", endings)
    assert len(set(read("csv", endings, same_video="apart").videos)) == 3


def test_names_in_two_unicode_forms_and_with_spaces_are_one():
    text = "class,video,time_s\no\u0308ffnen,cafe\u0301,1\n\u00f6ffnen ,caf\u00e9,2\n"
    lines = read("csv", text)
    assert (len(lines.classes), len(lines.videos)) == (1, 1)
    assert len([note for note in lines.notes if "Unicode form" in note]) == 2
    # A name that has one spelling keeps it: files on a disk are called by it.
    assert read("csv", "class,video,time_s\na,cafe\u0301,1\n").videos == ("cafe\u0301",)


def test_names_that_differ_by_case_are_kept_apart_and_named(tmp_path, capsys):
    (tmp_path / "p.csv").write_text("class,video,time_s\nPour,v,1\npour,v,2\n")
    assert invoke(["convert", str(tmp_path / "p.csv"), str(tmp_path / "out.vtt")]) == 0
    assert "classes that differ only by case or spaces are kept separate: 'Pour', 'pour'" in capsys.readouterr().err


def eaf(folder: Path, name: str, media: str, start: int = 1000) -> None:
    lines = Timelines((Mark("clip", "take", start / 1000, start / 1000 + 1),), ("clip",))
    text = write("elan", lines, media=media).replace('<PROPERTY NAME="punctum.video">clip</PROPERTY>', "")
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_one_name_in_several_files(tmp_path):
    eaf(tmp_path / "cams", "cam1/clip.eaf", "/films/cam1/clip.mp4")
    eaf(tmp_path / "cams", "cam2/clip.eaf", "/films/cam2/clip.mp4", 5000)
    eaf(tmp_path / "coders", "ann.eaf", "/films/clip.mp4")
    eaf(tmp_path / "coders", "bob.eaf", "/films/clip.mp4", 1100)
    for folder, names in (("cams", ("cam1/clip", "cam2/clip")), ("coders", ("ann", "bob"))):
        source, out = str(tmp_path / folder), str(tmp_path / "out.json")

        def run(same: str, source: str = source, out: str = out) -> list[str]:
            reading = ReadOptions(same_video=same)
            convert(source, out, target_form="activitynet-truth", reading=reading, replace_target=True)
            return list(json.loads(Path(out).read_text())["database"])

        error = refused("2 files contain annotations of a video called 'clip'", run, "refuse")
        assert "`same_video" in error.next_step
        assert run("apart") == list(names)
        assert run("merge") == ["clip"]


def test_one_name_in_several_tasks():
    tasks = [task(region(1, 10), video=f"/data/upload/{n}/0a1b2c3{n}-kitchen.mp4", id=n) for n in (1, 2)]
    refused("task 1", read, "labelstudio", json.dumps(tasks))
    assert read("labelstudio", json.dumps(tasks), same_video="merge").videos == ("kitchen",)
    assert len(read("labelstudio", json.dumps(tasks), same_video="apart").videos) == 2
    # One task that two people annotated is one video: the last annotation counts.
    short = [
        {
            "id": 3,
            "annotation_id": n,
            "updated_at": f"2026-01-0{n}",
            "video": "b.mp4",
            "tricks": [region(1, 10 * n)["value"]],
        }
        for n in (1, 2)
    ]
    assert told(read("labelstudio", json.dumps(short))) == [("take", 0.0, 2.0)]
    assert len(read("labelstudio", json.dumps(short), annotations="all").marks) == 2


def test_one_name_twice_in_json():
    entry = '{"annotations": [{"label": "a", "segment": [1, 2]}]}'
    refused("'v'", read, "activitynet", f'{{"database": {{"v": {entry}, "v": {entry}}}}}')
    refused("video-ambiguous|several videos", read, "activitynet", f'{{"database": {{"v": {entry}, "v ": {entry}}}}}')
    merged = read("activitynet", f'{{"database": {{"v": {entry}, "v ": {entry}}}}}', same_video="merge")
    assert (merged.videos, len(merged.marks)) == (("v",), 2)


@pytest.mark.parametrize(
    "label", ["jump (0.500)", "jump (0.500) (0.250)", "a\u200e", "a (1.000)\u200e", "take #2", "x (clicks)"]
)
@pytest.mark.parametrize("score", [None, 0.25])
@pytest.mark.parametrize("form", ["webvtt", "srt", "elan", "elan-text", "labelstudio", "cvat", "via", "boris", "csv"])
def test_classes_that_look_like_something_else_survive(form, label, score):
    lines = Timelines(
        (Mark("v", label, 1.0, 2.0, score), Mark("v", label, 1.5, 3.0, score)), ("v",), (label, "other #3")
    )
    found = read(form, write(form, lines))
    assert told(found) == [(label, 1.0, 2.0), (label, 1.5, 3.0)]
    assert {m.score for m in found.marks} <= {score, None}
    assert set(found.classes) <= {label, "other #3"}
    if form == "webvtt":
        assert {m.score for m in found.marks} == {score}


def test_names_too_long_for_a_file(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"database": {"v" * 300: {"annotations": []}}}))
    error = refused(
        "cannot be a file name", convert, str(tmp_path / "a.json"), str(tmp_path / "out"), target_form="elan"
    )
    assert error.code == "convert-names"
    assert not (tmp_path / "out").exists()


# --- Durations ---


def test_times_beyond_the_stated_duration():
    def record(*segments):
        items = [{"label": "a", "segment": segment} for segment in segments]
        return json.dumps({"database": {"v": {"duration": 30.0, "annotations": items}}})

    lines = read("activitynet", record([1.5, 2.5], [29.0, 35.0]))
    assert "1 annotation beyond the end of the video that the file states (v: 29 to 35 s of 30 s)" in lines.notes
    assert refused("milliseconds", read, "activitynet", record(["1.5", "2.5"], [1500, 2500])).code == "mark-outside"


def test_truth_of_no_length_is_written_and_judged_as_never_found(tmp_path, capsys):
    (tmp_path / "gt.csv").write_text("class,video_id,start_s,end_s\na,v,1.5,1.5\na,v,2,4\n")
    target = str(tmp_path / "gt.json")
    assert invoke(["convert", str(tmp_path / "gt.csv"), target, "--to", "activitynet-truth"]) == 0
    assert "1 action of zero length" in capsys.readouterr().err
    truth = read_truth(tmp_path / "gt.json", ("v",), ("a",))
    found = [{"label": "a", "score": 0.9, "segment": [2, 4]}, {"label": "a", "score": 0.8, "segment": [1.5, 1.5]}]
    (tmp_path / "d.json").write_text(json.dumps({"results": {"v": found}}))
    assert evaluate(truth, read_detections(tmp_path / "d.json", truth)).average == pytest.approx(0.5)


def test_detections_meet_the_truth_by_any_spelling(tmp_path):
    (tmp_path / "gt.json").write_text(
        json.dumps({"database": {"caf\u00e9": {"annotations": [{"label": "\u00f6", "segment": [1, 2]}]}}})
    )
    truth = read_truth(tmp_path / "gt.json", ("caf\u00e9",), ("\u00f6",))
    found = [{"label": "o\u0308", "score": 0.9, "segment": [1, 2]}]
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"results": {"films/cafe\u0301.mp4": found}}))
    assert evaluate(truth, read_detections(path, truth)).average == 1.0
    path.write_text(json.dumps({"results": {"cafe\u0301": found, "caf\u00e9.mp4": found}}))
    refused("same video", read_detections, path, truth)


# --- The system underneath ---


def test_it_runs_where_the_flags_of_unix_are_missing(tmp_path):
    (tmp_path / "a.csv").write_text("class,video_id,start_s,end_s\na,v,1,2\n")
    script = "import os\nfor name in ('O_CLOEXEC', 'O_NOCTTY'):\n    delattr(os, name)\n"
    script += "from punctum.runtime.cli import main\nmain()\n"
    command = [sys.executable, "-c", script, "convert", "a.csv", "out.json", "--to", "activitynet-truth"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads((tmp_path / "out.json").read_text())["database"]["v"]


def test_options_of_other_forms_are_refused(tmp_path, capsys):
    (tmp_path / "p.csv").write_text("class,video,time_s\na,v,1\n")
    for option in (["--background", "x"], ["--names", "tier"], ["--size", "10x10"]):
        assert invoke(["convert", str(tmp_path / "p.csv"), str(tmp_path / "out.vtt"), *option]) == 2
        assert option[0] in capsys.readouterr().err
    assert invoke(["convert", str(tmp_path / "p.csv"), str(tmp_path / "out.vtt"), "--same-video", "x"]) == 2
    assert WriteOptions().media_of("v") == "v.mp4"


def test_videos_that_differ_by_their_ending_are_named(tmp_path, capsys):
    entry = {"annotations": [{"label": "a", "segment": [1, 2]}]}
    (tmp_path / "gt.json").write_text(json.dumps({"database": {"kitchen": entry, "Kitchen.mp4": entry}}))
    assert invoke(["convert", str(tmp_path / "gt.json"), str(tmp_path / "out.jsonl")]) == 0
    assert "extensions are kept separate: 'kitchen', 'Kitchen.mp4'" in capsys.readouterr().err


@pytest.mark.parametrize("start", ["start_ms", "Start (ms)", "START MS", "begin[ms]", "Begin-ms"])
@pytest.mark.parametrize("end", ["end_ms", "Stop (ms)", "Duration (ms)"])
def test_milliseconds_however_the_column_is_written(start, end):
    length = 1000 if "Duration" in end else 2500
    table = f"video,label,{start},{end}\nv,a,1500,{length}\n"
    assert told(read("csv", table)) == [("a", 1.5, 2.5)]


def test_clicks_in_milliseconds():
    assert told(read("csv", "video,label,Time (ms)\nv,a,1500\n")) == [("a", 1.5, None)]


def test_a_table_of_actions_becomes_ground_truth_by_the_name(tmp_path, capsys):
    (tmp_path / "table.csv").write_text("video,label,start,end\na.mp4,wave,0:01,2.5\n")
    assert invoke(["convert", str(tmp_path / "table.csv"), str(tmp_path / "gt.json")]) == 0
    assert "activitynet-truth" in capsys.readouterr().err
    truth = read_truth(tmp_path / "gt.json", ("a",), ("wave",))
    assert truth.segments.tolist() == [[1.0, 2.5]]


@pytest.mark.parametrize(
    ("header", "what"),
    [
        ("clip,motion,t1", "for the class or times .*--label-column.*--video.*--from"),
        ("video,motion,time_s", "for the class .*--label-column"),
        ("video,label,t1", "for times "),
        ("clip,label,time_s", r"no column of videos \(it has: clip, label, time_s\).*--video"),
    ],
)
def test_other_headers_name_the_options_for_columns(tmp_path, capsys, header, what):
    (tmp_path / "table.csv").write_text(f"{header}\na,wave,1\n")
    assert invoke(["convert", str(tmp_path / "table.csv"), str(tmp_path / "points.csv")]) == 2
    assert re.search(what, capsys.readouterr().err)
