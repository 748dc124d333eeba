"""Files of other annotation tools and data sets, in the structure that those programs write."""

from __future__ import annotations

import json

import pytest
from punctum.runtime.cli import invoke
from punctum.runtime.convert import Mark, ReadOptions, Timelines, WriteOptions, convert, read_rates
from punctum.runtime.convert._forms import detect_source
from punctum.runtime.convert._options import Source
from punctum.runtime.errors import InputError

from tests.helpers import converting as make

MIXED, read, write, told, region, shape = make.MIXED, make.read, make.write, make.told, make.region, make.shape


def by_video(lines: Timelines) -> list[tuple]:
    return [(m.video, m.label, m.start, m.end) for m in lines.marks]


def guessed(text: str, name: str = "file.txt") -> str:
    return detect_source(Source(name, text.encode(), "file"))[0].name


# --- CVAT ---


def project(body: str, *tasks: tuple[str, str, int, int, int]) -> str:
    """An export of a project; tasks: video, subset, size, start frame, step."""
    made = ""
    for number, (video, subset, size, start, step) in enumerate(tasks, 1):
        made += f"<task><id>{number}</id><name>{video}</name><size>{size}</size><subset>{subset}</subset>"
        made += f"<start_frame>{start}</start_frame><stop_frame>{start + (size - 1) * step}</stop_frame>"
        made += f"<frame_filter>{f'step={step}' if step > 1 else ''}</frame_filter><source>{video}.mp4</source></task>"
    return f"<annotations><meta><project><tasks>{made}</tasks></project></meta>{body}</annotations>"


def track(task: int, *shapes: str, label: str = "x") -> str:
    return f'<track id="0" label="{label}" task_id="{task}">{"".join(shapes)}</track>'


def test_cvat_numbers_the_frames_of_a_project_in_one_go():
    # Task 2 begins where task 1 ends: 20 + 5 * 10 = 70. Task 3 is of another subset and begins anew.
    tasks = (("a", "Train", 10, 20, 5), ("b", "Train", 100, 0, 1), ("c", "Test", 100, 0, 1))
    body = track(1, shape(20), shape(30, 1)) + track(2, shape(80), shape(90, 1)) + track(3, shape(10), shape(20, 1))
    body += '<image id="75" task_id="2"><tag label="y"/></image>'
    assert by_video(read("cvat", project(body, *tasks))) == [
        ("a", "x", 2.0, 3.0),
        ("b", "x", 1.0, 2.0),
        ("c", "x", 1.0, 2.0),
        ("b", "y", 0.5, None),
    ]
    for wrong in (track(2, shape(60), shape(90, 1)), track(2, shape(80), shape(500, 1)), track(9, shape(10))):
        with pytest.raises(InputError, match=r"outside its task|belongs to no task"):
            read("cvat", project(wrong, *tasks))
    # A single shape has no end in the later tasks of an export: it is one frame, and not the rest of the video.
    assert by_video(read("cvat", project(track(2, shape(80)), *tasks)))[0] == ("b", "x", 1.0, 1.1)
    with pytest.raises(InputError, match="would be called 'a'"):
        read("cvat", project("", tasks[0], tasks[0]))


def test_cvat_steps():
    head = "<annotations><meta><task><name>v</name><size>100</size><start_frame>100</start_frame>"
    head += "<stop_frame>595</stop_frame><frame_filter>step=5</frame_filter></task></meta>"
    body = f'<track id="0" label="x">{shape(100)}{shape(195)}{shape(200, 1)}</track>'
    body += f'<track id="1" label="x">{shape(500)}{shape(595)}</track>'
    body += f'<track id="2" label="x">{shape(300, tag="points")}{shape(305, 1, "points")}</track>'
    lines = read("cvat", head + body + "</annotations>")
    assert told(lines) == [("x", 10.0, 20.0), ("x", 30.0, None), ("x", 50.0, 60.0)]


# --- Label Studio ---


def test_label_studio_repeats_video_rectangles_as_timeline_labels():
    shown = {"framesCount": 300, "duration": 12.0, "sequence": [{"frame": 30, "enabled": True, "x": 1, "y": 1}]}
    box = {"type": "videorectangle", "from_name": "b", "value": {**shown, "labels": ["cup"]}}
    again = {"type": "timelinelabels", "from_name": "t", "value": {**shown, "timelinelabels": ["cup"]}}
    lines = read("labelstudio", json.dumps([make.task(region(1, 10), box, again)]))
    assert told(lines) == [("take", 0.0, 1.0)]
    assert any("1 video rectangle, which the export repeats" in note for note in lines.notes)
    short = [{"id": 1, "video": "a/v.mp4", "annotation_id": 5, "t": [region(1, 10)["value"], again["value"]]}]
    assert told(read("labelstudio", json.dumps(short))) == [("take", 0.0, 1.0)]


def test_label_studio_tables():
    cell = json.dumps([region(1, 10)["value"]]).replace('"', '""')
    text = "annotation_id,annotator,created_at,id,lead_time,updated_at,video,videoLabels\n"
    text += f'5,1,2024-03-01T10:00:00Z,1,12.3,2024-03-01T10:00:00Z,/data/upload/2/0a1b2c3d-kitchen.mp4,"{cell}"\n'
    assert guessed(text, "x.csv") == "labelstudio"
    assert by_video(read("labelstudio", text)) == [("kitchen", "take", 0.0, 1.0)]


# --- BORIS ---


def boris(*events: list, media: tuple = ("films/a.mp4",), lengths: tuple = (60.0,), offset: float = 0.0, **more) -> str:
    kinds = {"groom": "State event", "rear": "Point event"}
    observation = {
        "file": {"1": list(media), "2": []},
        "type": "MEDIA",
        "time offset": offset,
        "events": list(events),
        "media_info": {"length": dict(zip(media, lengths, strict=True)), "fps": dict.fromkeys(media, 25.0)},
        **more,
    }
    made = {
        "behaviors_conf": {str(i): {"code": code, "type": kind} for i, (code, kind) in enumerate(kinds.items())},
        "observations": {"o": observation, "live": {"type": "LIVE", "file": [], "events": []}},
    }
    return json.dumps(made)


def test_boris_projects():
    events = ([3.12, "m1", "groom", "", "", 78], [4.0, "m2", "groom", "", ""], [7.4, "m1", "groom", "", ""])
    text = boris(*events, [8.0, "m2", "groom", "", ""], [12.0, "m1", "rear", "", ""], [13.0, "m1", "groom", "", ""])
    assert guessed(text, "p.json") == "boris"
    lines = read("boris", text)
    assert by_video(lines) == [("a", "groom", 3.12, 7.4), ("a", "groom", 4.0, 8.0), ("a", "rear", 12.0, None)]
    assert (lines.duration, lines.fps) == ({"a": 60.0}, {"a": 25.0})
    assert "left out: 1 state event without an end" in lines.notes
    assert any("1 observation without media" in note for note in lines.notes)
    with pytest.raises(InputError, match="not among those of the project"):
        read("boris", boris([1.0, "", "sleep", "", ""]))


def test_boris_counts_through_several_media_and_from_an_offset():
    media, events = (
        ("a.mp4", "b.mp4"),
        ([65.0, "", "rear", "", ""], [50.0, "", "groom", "", ""], [70.0, "", "groom", "", ""]),
    )
    lines = read("boris", boris(*events, media=media, lengths=(60.0, 30.0)))
    assert by_video(lines) == [("b", "rear", 5.0, None), ("a", "groom", 50.0, 60.0), ("b", "groom", 0.0, 10.0)]
    assert "1 action that continue in the next media file: cut at its start" in lines.notes
    (mark,) = read("boris", boris([103.0, "", "rear", "", ""], offset=100.0)).marks
    assert mark.start == 3.0
    with pytest.raises(InputError, match="not all with their length"):
        read("boris", boris(media=media, lengths=(None, 30.0)))


TABULAR = "Observation id,Source,Media duration (s),FPS (frame/s),Time offset (s),Subject,Behavior,Behavior type,Time,"
TABULAR += "Media file name,Comment\n"
FACTS = "o,player #1:films/a.mp4,60.000,25.000,0.0,m1"


def test_boris_events_count_by_their_times_and_not_by_their_places():
    # As BORIS itself sorts them: scripts and other programs append events that were added later.
    times = [10.0, 5.0, 7.0, 20.0]
    lines = read("boris", boris(*([t, "m1", "groom", "", ""] for t in times)))
    assert by_video(lines) == [("a", "groom", 5.0, 7.0), ("a", "groom", 10.0, 20.0)]
    header = "Observation id,Media file name,Subject,Behavior,Behavior type,Time\n"
    rows = ["1,STOP,20", "1,START,10", "1,STOP,7", "1,START,5"]
    table = header + "".join(f"o,a.mp4,m{s},groom,{k},{t}\n" for s, k, t in (row.split(",") for row in rows))
    assert by_video(read("boris", table)) == [("a", "groom", 5.0, 7.0), ("a", "groom", 10.0, 20.0)]


def test_boris_tables():
    rows = f"{FACTS},groom,START,3.120,films/a.mp4,\n{FACTS},groom,STOP,7.400,films/a.mp4,\n"
    rows += f"{FACTS},rear,POINT,12.000,films/a.mp4,\n"
    whole = [("a", "groom", 3.12, 7.4), ("a", "rear", 12.0, None)]
    saved = (TABULAR + rows).replace(",", ";")  # by a spreadsheet where commas are decimal
    for number, short in (("60.000", "60"), ("25.000", "25"), ("0.0", "0"), ("3.120", "3,12"), ("7.400", "7,4")):
        saved = saved.replace(f";{number};", f";{short};")
    saved = saved.replace("12.000", "12")
    for text in (TABULAR + rows, (TABULAR + rows).replace(",", "\t"), saved):
        assert guessed(text, "x.csv") == "boris"
        assert by_video(read("boris", text)) == whole
    actions = "Observation id\tMedia file\tBehavior\tBehavior type\tStart (s)\tStop (s)\tDuration (s)\n"
    actions += "o\tfilms/a.mp4\tgroom\tSTATE\t3.120\t7.400\t4.280\no\tfilms/a.mp4\trear\tPOINT\t12.000\t12.000\tNA\n"
    assert guessed(actions) == "boris"
    assert by_video(read("boris", actions)) == whole
    old = "Observation id\to\t\t\t\n\t\t\t\t\nPlayer #1\tfilms/a.mp4\t\t\t\n\t\t\t\t\n"
    old += "Time offset (s)\t100.0\t\t\t\n\t\t\t\t\n"
    old += "Time\tMedia file path\tSubject\tBehavior\tStatus\n103.120\tfilms/a.mp4\tm\tgroom\tSTART\n"
    old += "107.400\tfilms/a.mp4\tm\tgroom\tSTOP\n112.0\tfilms/a.mp4\tm\trear\tPOINT\n"
    assert guessed(old) == "boris"
    assert by_video(read("boris", old)) == whole
    several = (TABULAR + rows).replace("player #1:films/a.mp4", "player #1:films/z.mp4;films/a.mp4")
    with pytest.raises(InputError, match="several media files"):
        read("boris", several)
    told_lengths = several.replace("60.000", "2.000;60.000")
    assert by_video(read("boris", told_lengths))[0][1:] == ("groom", 1.12, 5.4)


def test_boris_is_written_with_both_kinds_of_events():
    text = write("boris")
    found = json.loads(text)
    kinds = {b["code"]: b["type"] for b in found["behaviors_conf"].values()}
    assert kinds["put"] == "State event" and kinds["put (click)"] == "Point event"
    (observation,) = found["observations"].values()
    assert set(observation["media_info"]) >= {"length", "fps", "hasVideo", "hasAudio"}
    assert observation["events"] == sorted(observation["events"], key=lambda e: e[0])
    assert len(read("boris", text).marks) == len(MIXED.marks)


# --- SoccerNet ---


def soccernet(*annotations: dict, **more) -> str:
    return json.dumps({"UrlLocal": "league/2020/game/", "annotations": list(annotations), **more})


def test_soccernet_halves_are_videos():
    text = soccernet(
        {"gameTime": "1 - 00:13", "label": "Throw-in", "position": "13829", "team": "home", "visibility": "visible"},
        {"gameTime": "2 - 03:02", "label": "Foul", "position": 182400},
        {"gameTime": "2 - 91:07", "label": "Goal"},
    )
    assert guessed(text, "Labels-v2.json") == "soccernet"
    lines = read("soccernet", text)
    assert by_video(lines) == [
        ("league/2020/game/1", "Throw-in", 13.829, None),
        ("league/2020/game/2", "Foul", 182.4, None),
        ("league/2020/game/2", "Goal", 5467.0, None),
    ]
    assert any("1 annotation are whole seconds" in note for note in lines.notes)
    guesses = {
        "UrlLocal": "g",
        "predictions": [{"gameTime": "1 - 00:01", "label": "a", "position": "1000", "half": "1"}],
    }
    guesses["predictions"][0]["confidence"] = "0.5"
    assert [m.score for m in read("soccernet", json.dumps(guesses)).marks] == [0.5]
    for wrong in (
        {"gameTime": "first half", "label": "a"},
        {"gameTime": "0 - 00:10", "label": "a", "position": "1"},
        7,
    ):
        with pytest.raises(InputError, match="annotation 0"):
            read("soccernet", soccernet(wrong))


def test_soccernet_is_written_a_game_a_file(tmp_path):
    (tmp_path / "p.csv").write_text("class,video,time_s\nFoul,x/g1/1,1.5\nFoul,x/g1/2,2.25\nGoal,x/g2/1,3\n")
    out = tmp_path / "out"
    convert(str(tmp_path / "p.csv"), str(out), target_form="soccernet")
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.json")) == ["x/g1.json", "x/g2.json"]
    found = json.loads((out / "x" / "g1.json").read_text())
    assert [(a["gameTime"], a["position"]) for a in found["annotations"]] == [
        ("1 - 00:01", "1500"),
        ("2 - 00:02", "2250"),
    ]
    convert(str(out), str(tmp_path / "again.csv"), source_form="soccernet")
    assert (tmp_path / "again.csv").read_text().splitlines()[1:] == [
        "Foul,x/g1/1,1.5",
        "Foul,x/g1/2,2.25",
        "Goal,x/g2/1,3.0",
    ]
    with pytest.raises(InputError, match="one game per file"):
        convert(str(tmp_path / "p.csv"), str(tmp_path / "one.json"), target_form="soccernet")
    (tmp_path / "a.csv").write_text("class,video,start,end\na,v,1,2\n")
    with pytest.raises(InputError, match="`clicks=all`"):
        convert(str(tmp_path / "a.csv"), str(tmp_path / "one.json"), target_form="soccernet")


# --- VIA ---


def via(*segments: tuple[str, list, dict], attribute: dict | None = None) -> str:
    made = {
        "project": {"vid_list": ["1", "2"]},
        "attribute": attribute or {"1": {"aname": "TEMPORAL-SEGMENTS", "type": 4, "options": {"default": "Default"}}},
        "file": {
            n: {"fid": n, "fname": f"{name}.mp4", "type": 4, "loc": 1, "src": ""}
            for n, name in (("1", "a"), ("2", "b"))
        },
        "view": {"1": {"fid_list": ["1"]}, "2": {"fid_list": ["2"]}},
        "metadata": {
            f"m{i}": {"vid": vid, "flg": 0, "z": z, "xy": [], "av": av} for i, (vid, z, av) in enumerate(segments)
        },
    }
    return json.dumps(made)


def test_via_projects():
    text = via(("1", [3.12, 7.4], {"1": "pour"}), ("2", [1.5], {"1": "stir"}), ("2", [], {"1": "file"}))
    assert guessed(text, "x.json") == "via"
    lines = read("via", text)
    assert by_video(lines) == [("a", "pour", 3.12, 7.4), ("b", "stir", 1.5, None)]
    assert "left out: 1 value of a whole file" in lines.notes
    options = {
        "1": {"aname": "action", "type": 3, "options": {"0": "pour", "1": "stir"}},
        "2": {"aname": "who", "type": 1},
    }
    text = via(("1", [1, 2], {"1": "1", "2": "Ann"}), attribute=options)
    assert by_video(read("via", text)) == [("a", "stir", 1.0, 2.0)]
    assert any("one of action, who" in note for note in read("via", text).notes)
    assert by_video(read("via", text, label_column="who")) == [("a", "Ann", 1.0, 2.0)]
    # Everything in the first group of the time line, and the class in an attribute of its own.
    text = via(("1", [1, 2], {"1": "_DEFAULT", "3": "title"}))
    assert by_video(read("via", text)) == [("a", "title", 1.0, 2.0)]


def test_via_tables():
    text = "# Exported using VGG Image Annotator\n"
    text += "# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata\n"
    text += '"1_a","[""kitchen.mp4""]",0,"[3.12,7.4]","[]","{""1"":""pour""}"\n'
    text += '"1_b","[""kitchen.mp4""]",0,"[1.5]","[2,10,20,50,80]","{""1"":""cup""}"\n'
    assert guessed(text, "x.csv") == "via"
    lines = read("via", text)
    assert by_video(lines) == [("kitchen", "pour", 3.12, 7.4)]
    assert "left out: 1 region in the picture" in lines.notes


# --- THUMOS, frame-wise text, SubRip, ELAN's text ---


def test_thumos_text(tmp_path):
    folder = tmp_path / "annotation"
    folder.mkdir()
    (folder / "BaseballPitch_val.txt").write_text("video_1  67.5 75.9\nvideo_2 85.9 90.6\n\n")
    (folder / "CliffDiving_val.txt").write_text("video_1 1 2.5\n")
    out = tmp_path / "gt.json"
    convert(str(folder), str(out), target_form="activitynet-truth")
    found = json.loads(out.read_text())["database"]
    assert [a["label"] for a in found["video_1"]["annotations"]] == ["BaseballPitch", "CliffDiving"]
    convert(str(out), str(tmp_path / "back"), target_form="thumos")
    assert (tmp_path / "back" / "BaseballPitch_val.txt").read_text() == "video_1 67.5 75.9\nvideo_2 85.9 90.6\n"
    with pytest.raises(InputError, match="one class per file"):
        convert(str(out), str(tmp_path / "one.txt"), target_form="thumos")
    assert told(read("thumos", "v 67,5 75,9\n")) == [("file", 67.5, 75.9)]
    with pytest.raises(InputError, match="separator of thousands"):
        read("thumos", "v 1,234 1,500\n")
    with pytest.raises(InputError, match="line 2"):
        read("thumos", "v 1 2\nv 1\n")


def test_frame_wise_text(tmp_path):
    text = "background\n" * 10 + "take\n" * 15 + "SIL\n" * 5 + "put cup\n" * 10
    assert guessed(text) == "frames"
    lines = read("frames", text)
    assert told(lines) == [("take", 1.0, 2.5), ("put cup", 3.0, 4.0)]
    assert lines.duration == {"file": 4.0}
    assert told(read("frames", text, background=("background",)))[1] == ("SIL", 2.5, 3.0)
    with pytest.raises(InputError, match="frame rate of file is unknown"):
        read("frames", text, rates=read_rates(None))
    marks = (Mark("v", "a", 0.0, 1.0, 0.9), Mark("v", "b", 0.5, 2.0, 0.1))
    written = make.FORMATS["frames"].write(Timelines(marks, ("v",), duration={"v": 3.0}), WriteOptions(make.RATES))
    assert written.data.split() == ["a"] * 10 + ["b"] * 10 + ["background"] * 10
    assert "overlaps of 1 action with others: a frame has one class" in written.lost
    with pytest.raises(InputError, match="frames"):
        far = Timelines((Mark("v", "a", 0.0, 1e9),), ("v",))
        make.FORMATS["frames"].write(far, WriteOptions(read_rates("1000")))
    with pytest.raises(InputError, match="MiB of names"):  # not gigabytes for a file of a few kilobytes
        long = Timelines((Mark("v", "a" * 5000, 0.0, 1e5),), ("v",))
        make.FORMATS["frames"].write(long, WriteOptions(make.RATES))


def test_subrip(tmp_path, capsys):
    text = "\ufeff1\r\n00:00:01,000 --> 00:00:02,500\r\n<i>pour</i>\r\nwater\r\n\r\n"
    text += "2\r\n1:00:00.500 --> 1:00:01,000\r\nstir\r\n"
    assert guessed(text) == "srt"
    assert told(read("srt", text)) == [("pour water", 1.0, 2.5), ("stir", 3600.5, 3601.0)]
    for wrong in ("1\n00:00:01,000 -> 00:00:02,000\na\n", "1\n00:00:02,000 --> 00:00:01,000\na\n", "words\n"):
        with pytest.raises(InputError):
            read("srt", wrong)
    (tmp_path / "p.csv").write_text("class,video,time_s\na,v,5\nb,v,0.1\n")
    assert invoke(["convert", str(tmp_path / "p.csv"), str(tmp_path / "v.srt")]) == 0
    assert "--clicks all reads them" in capsys.readouterr().err
    convert(str(tmp_path / "v.srt"), str(tmp_path / "q.csv"), reading=ReadOptions(clicks="all"))
    assert (tmp_path / "q.csv").read_text().splitlines()[1:] == ["b,v,0.1", "a,v,5.0"]


ROWS = "hand\tAnn\t00:00:01.000\t1.0\t00:00:02.500\t2.5\t00:00:01.500\t1.5\ttake\n"
ROWS += "hand\t\t01:00:00.000\t3600.0\t01:00:01.000\t3601.0\t00:00:01.000\t1.0\t\n"


def test_text_exported_by_elan():
    media = (
        '"#file:///films/Clip%201.mp4 -- offset: 0, duration: 02:00:00.000 / 7200.000 / 7200000, ms per sample: 40"\n'
    )
    assert guessed(media + "\n" + ROWS) == "elan-text"
    lines = read("elan-text", media + "\n" + ROWS)
    assert lines.videos == ("Clip 1",)
    assert lines.duration == {"Clip 1": 7200.0}
    assert told(lines) == [("take", 1.0, 2.5), ("hand", 3600.0, 3601.0)]
    assert told(read("elan-text", ROWS, names="tier"))[0] == ("hand", 1.0, 2.5)
    for text in (
        "hand\t\t1000\t2500\t1500\ttake\n",  # milliseconds
        "hand\t1.0\t2.5\t1.5\ttake\n",
        "hand\t1,0\t2,5\t1,5\ttake\n",
        "hand\t00:00:01.000\t00:00:02.500\ttake\n",  # without the duration
        "hand\t00:00:01:00\t00:00:02:05\t00:00:01:05\ttake\n",  # frames at 10 a second
        "hand\tAnn\t00:00:01.000\t1.0\t00:00:02.500\t2.5\t00:00:01.500\t1.5\t7\n",
    ):
        assert guessed(text) == "elan-text"
        assert told(read("elan-text", text)) == [("7" if text.endswith("7\n") else "take", 1.0, 2.5)]
    columns = (
        "Begin Time - hh:mm:ss.ms\tBegin Time - ss.msec\tEnd Time - hh:mm:ss.ms\tEnd Time - ss.msec\tleft\tright\n"
    )
    columns += "00:00:01.000\t1.0\t00:00:02.500\t2.5\ttake\t\n00:00:03.000\t3.0\t00:00:04.000\t4.0\tput\thold\n"
    assert guessed(columns, "x.csv") == "elan-text"
    assert told(read("elan-text", columns)) == [("take", 1.0, 2.5), ("hold", 3.0, 4.0), ("put", 3.0, 4.0)]
    assert told(read("elan-text", columns, names="tier"))[0] == ("left", 1.0, 2.5)
