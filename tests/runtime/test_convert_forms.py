"""Files as other tools write them, and other tools' readers on ours."""

from __future__ import annotations

import io
import json
import re
import zipfile
from xml.etree import ElementTree

import pytest
from punctum.runtime.convert import Mark, Timelines, read_rates
from punctum.runtime.errors import InputError

from tests.helpers import converting as make

MARKS, read, write, told = make.MARKS, make.read, make.write, make.told
region, task, cvat, shape = make.region, make.task, make.cvat, make.shape

# --- WebVTT ---


def test_webvtt_as_a_reader_of_its_own_sees_it(tmp_path):
    webvtt = pytest.importorskip("webvtt", reason="webvtt-py reads what was written")
    path = tmp_path / "v.vtt"
    path.write_text(write("webvtt"))
    cues = [(c.identifier, c.start, c.end, c.text) for c in webvtt.read(str(path))]
    assert cues == [
        ("1", "00:00:00.000", "00:00:00.400", "put"),
        ("2", "00:00:01.000", "00:00:02.500", "take &lt;&amp;&gt; \"it\" 'é' (0.875)"),
        ("3", "00:00:02.000", "00:00:03.000", "take &lt;&amp;&gt; \"it\" 'é' (0.500)"),
        ("click-4", "01:01:01.250", "01:01:01.750", "put"),
    ]


def test_webvtt_of_others():
    text = (
        "\ufeffWEBVTT - a title\r\nKind: captions\r\n\r\nSTYLE\r\n::cue { color: lime }\r\n\r\nREGION\r\nid:a\r\n\r\n"
        "NOTE nothing --> here\r\n\r\nfirst\r\n00:01.000 --> 00:02.000 align:start position:10%\r\n"
        "<v Ann><b>take</b> &amp;\r\nput (0.5)\r\n\r\n100:00:00.000 --> 100:00:01.000\r\n<i></i>\r\n\r\n\r\n"
        "00:00.500\t-->  00:59:59.999\r\nstir"
    )
    lines = read("webvtt", text)
    assert told(lines) == [("stir", 0.5, 3599.999), ("take & put (0.5)", 1.0, 2.0)]
    assert lines.videos == ("file",)
    assert lines.notes == ("left out: 1 cue without text",)


# --- ELAN ---


def test_elan_as_pympi_sees_it(tmp_path):
    pympi = pytest.importorskip("pympi", reason="pympi-ling reads what was written")
    path = tmp_path / "v.eaf"
    path.write_text(write("elan", media="videos/{video}.mp4"))
    eaf = pympi.Eaf(str(path))
    take = "take <&> \"it\" 'é'"
    assert {name: eaf.get_annotation_data_for_tier(name) for name in eaf.get_tier_names()} == {
        "put": [(0, 400, "put")],
        "put (clicks)": [(3661250, 3661350, "put")],
        "never": [],
        take: [(1000, 2500, take)],
        f"{take} #2": [(2000, 3000, take)],
    }
    (media,) = eaf.get_linked_files()
    assert media["MIME_TYPE"] == "video/mp4"
    assert media["MEDIA_URL"].endswith("/videos/v.mp4")
    eaf.add_annotation("never", 5000, 6000, "")  # as a person does who forgets the value
    eaf.add_annotation("put (clicks)", 7000, 7040, "")
    eaf.to_file(str(tmp_path / "corrected.eaf"))
    lines = read("elan", (tmp_path / "corrected.eaf").read_bytes())
    assert told(lines) == [
        ("put", 0.0, 0.4),
        (take, 1.0, 2.5),
        (take, 2.0, 3.0),
        ("never", 5.0, 6.0),
        ("put", 7.0, None),
        ("put", 3661.25, None),
    ]
    assert lines.videos == ("v",)


def test_elan_follows_its_schema():
    root = ElementTree.fromstring(write("elan"))
    order = ["HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "CONSTRAINT"]
    places = [order.index(child.tag) for child in root]
    assert places == sorted(places)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", root.get("DATE"))
    assert (root.get("VERSION"), root.get("FORMAT")) == ("3.0", "3.0")
    slots = [slot.get("TIME_SLOT_ID") for slot in root.iter("TIME_SLOT")]
    ids = slots + [item.get("ANNOTATION_ID") for item in root.iter("ALIGNABLE_ANNOTATION")]
    assert len(set(ids)) == len(ids)
    times = [int(slot.get("TIME_VALUE")) for slot in root.iter("TIME_SLOT")]
    assert times == sorted(times)
    types = {kind.get("LINGUISTIC_TYPE_ID") for kind in root.iter("LINGUISTIC_TYPE")}
    assert all(tier.get("LINGUISTIC_TYPE_REF") in types for tier in root.iter("TIER"))
    refs = {item.get(f"TIME_SLOT_REF{k}") for item in root.iter("ALIGNABLE_ANNOTATION") for k in (1, 2)}
    assert refs == set(slots)


def test_elan_of_others(tmp_path):
    pympi = pytest.importorskip("pympi", reason="pympi-ling makes the file")
    eaf = pympi.Eaf(author="somebody")
    eaf.add_linked_file("file:///C:/films/Clip%2001.mpg", mimetype="video/mpeg", time_origin=500)
    eaf.add_tier("actions")
    eaf.add_annotation("actions", 1000, 2000, " take\n")
    eaf.add_annotation("actions", 3000, 4000, "")
    eaf.add_linguistic_type("child", "Symbolic_Association", timealignable=False)
    eaf.add_tier("notes", "child", "actions")
    eaf.add_ref_annotation("notes", "actions", 1500, "seen twice")
    eaf.to_file(str(tmp_path / "o.eaf"))
    text = (tmp_path / "o.eaf").read_text()
    lines = read("elan", text)
    assert lines.videos == ("Clip 01",)
    assert told(lines) == [("take", 1.5, 2.5), ("actions", 3.5, 4.5)]
    assert any("1 annotation that refer" in note for note in lines.notes)
    assert any("500 ms" in note for note in lines.notes)
    assert told(read("elan", text, names="tier")) == [("actions", 1.5, 2.5), ("actions", 3.5, 4.5)]
    floating = re.sub(r' TIME_VALUE="2000"', "", text)
    assert told(read("elan", floating)) == [("actions", 3.5, 4.5)]
    assert "left out: 1 annotation without a time" in read("elan", floating).notes


# --- Label Studio ---


def test_label_studio_of_others():
    box = {"type": "videorectangle", "value": {"sequence": [], "labels": ["x"]}}
    lines = read("labelstudio", json.dumps([task(region(1, 10), region(31, 31), box)]))
    assert lines.videos == ("S1_Tea",)
    assert told(lines) == [("take", 0.0, 1.0), ("take", 3.0, None)]
    assert "left out: 1 result of type videorectangle" in lines.notes
    assert any(note.startswith("1 range of a single frame") for note in lines.notes)
    assert told(read("labelstudio", json.dumps([task(region(31, 31))]), clicks="none")) == [("take", 3.0, 3.1)]


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/data/local-files/?d=films/a%20b.mp4", "a b"),
        ("https://host/x/clip.webm?token=1", "clip"),
        ("s3://bucket/deep/clip.mov", "clip"),
        ("0a1b2c3d-clip.mp4", "0a1b2c3d-clip"),
    ],
)
def test_label_studio_names(address, name):
    assert read("labelstudio", json.dumps([task(region(1, 2), video=address)])).videos == (name,)


def test_label_studio_which_annotation_counts():
    twice = task()
    twice["annotations"] = [
        {"updated_at": "2026-02-02", "result": [region(1, 10, "new")]},
        {"updated_at": "2026-01-01", "result": [region(1, 10, "old")]},
        {"was_cancelled": True, "updated_at": "2026-03-03", "result": [region(1, 10, "skipped")]},
    ]
    lines = read("labelstudio", json.dumps([twice]))
    assert told(lines) == [("new", 0.0, 1.0)]
    assert any("annotated more than once" in note for note in lines.notes)
    assert any("canceled" in note for note in lines.notes)
    assert len(read("labelstudio", json.dumps([twice]), annotations="all").marks) == 2
    guessed = task(annotations=[], predictions=[{"result": [region(1, 10, score=0.25)]}])
    lines = read("labelstudio", json.dumps([guessed]))
    assert [m.score for m in lines.marks] == [0.25]
    assert any("predictions are read instead" in note for note in lines.notes)
    # Somebody looked and found nothing: the prediction does not come back.
    emptied = task(predictions=[{"result": [region(1, 10)]}])
    assert read("labelstudio", json.dumps([emptied])).marks == ()


def test_label_studio_short_export_audio_and_rates():
    short = [{"id": 3, "video": "a/b.mp4", "fps": 50, "tricks": [region(1, 100)["value"]], "annotator": 1}]
    assert told(read("labelstudio", json.dumps(short), rates=read_rates(None))) == [("take", 0.0, 2.0)]
    sound = {"type": "labels", "value": {"start": 1.5, "end": 2.25, "labels": ["say", "shout"], "channel": 0}}
    lines = read("labelstudio", json.dumps([task(sound)]), rates=read_rates(None))
    assert told(lines) == [("say", 1.5, 2.25), ("shout", 1.5, 2.25)]
    with pytest.raises(InputError, match="frame rate of S1_Tea is unknown"):
        read("labelstudio", json.dumps([task(region(1, 2))]), rates=read_rates(None))


def test_label_studio_corrects_predictions():
    (made,) = json.loads(write("labelstudio", Timelines(MARKS[:2], ("v",)), media="s3://films/{video}.mp4"))
    assert made["data"] == {"video": "s3://films/v.mp4", "fps": 10.0, "video_id": "v"}
    assert "annotations" not in made
    (guess,) = made["predictions"]
    assert [r["value"]["ranges"] for r in guess["result"]] == [[{"start": 11, "end": 25}], [{"start": 21, "end": 30}]]
    assert [r["score"] for r in guess["result"]] == [0.875, 0.5]


# --- CVAT ---


def test_cvat_tracks_of_others():
    # As CVAT exports: every frame between the key frames, and a last one that is outside; gone and back once.
    dense = "".join(shape(f, keyframe=f == 20) for f in range(20, 30)) + shape(30, 1)
    body = f'<track id="0" label="take">{dense}{shape(40)}{shape(45, 1)}</track>'
    body += f'<track id="1" label="take">{shape(90)}</track><track id="2" label="take">{shape(7, tag="points")}</track>'
    body += f'<track id="3" label="take">{shape(50, tag="points")}{shape(51, 1, "points")}</track>'
    lines = read("cvat", cvat(body))
    assert lines.videos == ("S1 Tea",)
    assert told(lines) == [
        ("take", 0.7, None),
        ("take", 2.0, 3.0),
        ("take", 4.0, 4.5),
        ("take", 5.0, None),
        ("take", 9.0, 10.0),
    ]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("annotations.xml", cvat(body))
    assert told(read("cvat", packed.getvalue())) == told(lines)


def test_cvat_tags_and_projects():
    images = "".join(f'<image id="{f}" name="f"><tag label="take"/></image>' for f in (5, 6, 7, 20))
    assert told(read("cvat", cvat(images + '<image id="9"><box label="take"/></image>'))) == [
        ("take", 0.5, 0.8),
        ("take", 2.0, None),
    ]
    tasks = "".join(
        f"<task><id>{n}</id><name>t</name><source>{v}.mp4</source></task>" for n, v in ((1, "a"), (2, "b"), (3, "c"))
    )
    body = "".join(f'<track id="{n}" label="x" task_id="{n}">{shape(10)}{shape(20, 1)}</track>' for n in (1, 2))
    lines = read("cvat", f"<annotations><meta><project><tasks>{tasks}</tasks></project></meta>{body}</annotations>")
    assert [(m.video, m.start, m.end) for m in lines.marks] == [("a", 1.0, 2.0), ("b", 1.0, 2.0)]
    assert lines.videos == ("a", "b", "c")


def test_cvat_ends_with_the_video():
    lines = Timelines((Mark("v", "a", 8.0, 10.0), Mark("v", "a", 1.0, 2.0)), ("v",), duration={"v": 10.0})
    text = write("cvat", lines)
    root = ElementTree.fromstring(text)
    assert [s.get("frame") for s in root.iter("box")] == ["80", "10", "20"]  # no frame 100: the video has none
    assert root.findtext("meta/task/size") == "100"
    assert told(read("cvat", text)) == [("a", 1.0, 2.0), ("a", 8.0, 10.0)]


# --- CSV ---


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("label,video,start,end\ntake,v,1,2.5\n", [("take", 1.0, 2.5)]),
        ("class,video_id,start_frame,stop_frame\ntake,v,10,25\n", [("take", 1.0, 2.5)]),
        ("class,start_frame,stop_frame,video_id,point\r\ntake,13,71,v,50\r\n\r\n", [("take", 5.0, None)]),
        ("class,video_id,point,time_s\ntake,v,999,1.5\n", [("take", 1.5, None)]),
        ('"class","video_id","time_s"\n"a, b",v,0\n', [("a, b", 0.0, None)]),
    ],
)
def test_csv_of_others(text, marks):
    assert told(read("csv", text)) == marks
    assert told(read("csv", text.encode("utf-16"))) == marks


def test_a_timing_begins_a_cue_where_the_blank_line_is_missing():
    # What players do: https://www.w3.org/TR/webvtt1/ ("collect a WebVTT block"); FFmpeg does the same for SubRip.
    vtt = "WEBVTT\n00:01.000 --> 00:02.000\na\n00:03.000 --> 00:04.000\nb\n\nNOTE\n00:05.000 --> 00:06.000\nno\n"
    vtt += "00:07.000 --> 00:08.000\nno\n\nid\n00:09.000 --> 00:10.000\nc --> d\n"
    assert told(read("webvtt", vtt)) == [("a", 1, 2), ("b", 3, 4), ("c --> d", 9, 10)]
    srt = "1\n00:00:01,000 --> 00:00:02,000\na\n2\n00:00:03,000 --> 00:00:04,000\nb\nb\n"
    srt += "00:00:05,000 --> 00:00:06,000\nc\n\n4\n00:00:07,000 --> 00:00:08,000\n5\n"
    srt += "\n6\n00:00:09,000 --> 00:00:10,000\nc --> d\n"
    found = [("a", 1, 2), ("b b", 3, 4), ("c", 5, 6), ("5", 7, 8), ("c --> d", 9, 10)]
    assert told(read("srt", srt)) == found


def test_classes_that_look_like_parts_of_the_form():
    timing = Timelines((Mark("v", "00:00:01,000 --> 00:00:02,000", 1.0, 2.0),), ("v",))
    with pytest.raises(InputError, match="timing"):
        write("srt", timing)
    assert told(read("webvtt", write("webvtt", timing))) == told(timing)
    tier = Timelines((Mark("v", "#1", 1.0, 2.0), Mark("v", "b", 3.0, 4.0)), ("v",))
    assert told(read("elan-text", write("elan-text", tier))) == told(tier)


def test_tags_that_never_end_take_no_time():
    text = "<" * 400_000  # a quarter of an hour where each of them is followed to the end
    assert told(read("webvtt", f"WEBVTT\n\n00:01.000 --> 00:02.000\n<i>a</i> {text}\n")) == [(f"a {text}", 1, 2)]
