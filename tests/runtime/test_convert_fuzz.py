"""Every reader on documents that are right but for one or two values of the wrong kind, wherever these may be."""

from __future__ import annotations

import copy
import csv
import io
import json
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime.convert import FORMATS, Mark, ReadOptions, Timelines, WriteOptions, read_rates
from punctum.runtime.convert._detect import formats_by_content
from punctum.runtime.convert._options import Source
from punctum.runtime.errors import InputError

from tests.helpers import converting as make
from tests.helpers.exhaustive import examples

pytestmark = pytest.mark.slow

RATES = read_rates("10")
LINES = Timelines(
    (
        Mark("v", "take", 1.0, 2.5, 0.875),
        Mark("v", "take", 2.0, 3.0, 0.5),
        Mark("w", "put", 0.0, 0.4),
        Mark("w", "put", 3661.25, None),
    ),
    ("v", "w"),
    ("put", "never"),
    fps={"v": 25.0},
    duration={"v": 30.0},
)
# Raw text that JSON's own writer would not make.
HUGE, INFINITE = "@huge@", "@infinite@"
STRANGE = [None, True, 0, -1, 0.5, "", "x", "1,5", "00:61", [], {}, [[]], {"a": [1]}, "\ud800", "\x00", "\u2028"]
STRANGE += [float("nan"), float("inf"), 1e308, 10**30, HUGE, INFINITE, "9" * 5000, "v" * 3000, [1, 2, 3], ["a", None]]
TEXTS = [
    "",
    "x",
    "-1",
    "1e400",
    "9" * 5000,
    "NaN",
    "1,5",
    "1.234,5",
    "\u0661",
    "0:0:0:0",
    "v" * 3000,
    "true",
    " ",
    "a;b",
]


def alone(name: str) -> Timelines:
    """What one file of a form can hold of the marks above."""
    form = FORMATS[name]
    marks = [m for m in LINES.marks if (form.clicks or m.end is not None) and (form.actions or m.end is None)]
    if not form.mixed or form.a_file in ("video", "game"):
        marks = [m for m in marks if m.video == ("w" if form.a_file == "game" else "v")]
    if form.a_file == "class":
        marks = [m for m in marks if m.label == "take"]
    videos = tuple(dict.fromkeys(m.video for m in marks))
    return Timelines(tuple(marks), videos, LINES.labels, LINES.fps, LINES.duration)


def document(name: str) -> str:
    data = FORMATS[name].write(alone(name), WriteOptions(RATES)).data
    return data if isinstance(data, str) else data.decode()


def survives(name: str, data: bytes) -> None:
    """The reader, every writer on what was read, and the detection of the form: right, or one InputError."""
    source = Source("file.txt", data, "file")
    try:
        formats_by_content(source)
    except InputError as error:
        assert error.given
    for options in (ReadOptions(RATES), ReadOptions(RATES, same_video="apart", names="tier", annotations="all")):
        try:
            found = FORMATS[name].read(source, options)
        except InputError as error:
            assert error.given and error.next_step
            continue
        for form in FORMATS.values():
            if form.name == "parquet" or (found.clicks and not form.clicks) or (found.actions and not form.actions):
                continue
            parts = (
                [found]
                if form.a_file == "all"
                else list(found.apart())
                if form.a_file != "class"
                else list(found.by_class())
            )
            for part in parts[:3]:
                if form.mixed or not (part.clicks and part.actions):
                    try:
                        made = form.write(part, WriteOptions(RATES)).data
                    except InputError as error:
                        assert error.given
                        continue
                    assert isinstance(made, bytes) or made.encode() is not None


def places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def changed(value, path, new, *, drop: bool):
    if not path:
        return new
    value = copy.copy(value)
    if len(path) == 1 and drop:
        del value[path[0]]
    else:
        value[path[0]] = changed(value[path[0]], path[1:], new, drop=drop)
    return value


VIA_CSV = (
    '# ATTRIBUTE = {"1":{"aname":"x","type":4,"options":{}}}\n'
    "# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata\n"
    '"1_a","[""v.mp4""]",0,"[1.0,2.5]","[]","{""1"":""take""}"\n"1_b","[""w.mp4""]",0,"[1.0]","[]","{""1"":""put""}"\n'
)
BORIS_TABLE = (
    "Observation id,Source,Media duration (s),FPS (frame/s),Time offset (s),Subject,Behavior,Behavior type,Time,"
    "Media file name\n"
    "o,player #1:v.mp4;w.mp4,60.0;30.0,25.0;25.0,0.0,m,take,START,1.0,v.mp4\n"
    "o,player #1:v.mp4;w.mp4,60.0;30.0,25.0;25.0,0.0,m,take,STOP,2.5,v.mp4\n"
    "o,player #1:v.mp4;w.mp4,60.0;30.0,25.0;25.0,0.0,m,put,POINT,70.0,w.mp4\n"
)
BORIS_ACTIONS = (
    "Observation id,Media file,Behavior,Behavior type,Start (s),Stop (s)\n"
    "o,v.mp4,take,STATE,1.0,2.5\no,v.mp4,put,POINT,3.0,3.0\n"
)
LS_CSV = (
    'annotation_id,annotator,id,lead_time,video,tricks\n5,1,1,2.5,a/v.mp4,"'
    + json.dumps([make.region(1, 10)["value"]]).replace('"', '""')
    + '"\n'
)
ELAN_COLUMNS = (
    "Begin Time - hh:mm:ss.ms\tEnd Time - hh:mm:ss.ms\ttake\tput\n00:00:01.000\t00:00:02.500\tx\t\n"
    "00:00:03.000\t00:00:04.500\t\ty\n"
)
EPIC = "video_id,start_timestamp,stop_timestamp,start_frame,stop_frame,verb,noun\n"
EPIC += "v,00:00:01.00,00:00:02.50,60,150,take,cup\n"
ELAN_MEDIA = '"#file:///v.mp4 -- offset: 0, duration: 00:00:09.000 / 9.000 / 9000, ms per sample: 40"\n'
TABLES = {
    "csv": ["class,video_id,start_s,end_s,score\ntake,v,1,2.5,0.5\nput,w,0:01,0:02,\n", EPIC],
    "boris": [BORIS_TABLE, BORIS_ACTIONS],
    "labelstudio": [LS_CSV],
    "elan-text": [document("elan-text"), ELAN_COLUMNS, ELAN_MEDIA.replace('"', "") + document("elan-text")],
    "via": [VIA_CSV],
    "thumos": [document("thumos").replace(" ", "\t")],
}
JSON = {
    name: [json.loads(document(name))]
    for name in ("activitynet", "activitynet-truth", "labelstudio", "boris", "via", "soccernet")
}
JSON["labelstudio"].append([{"id": 3, "video": "a/b.mp4", "fps": 50, "tricks": [make.region(1, 9)["value"]]}])
JSON["labelstudio"].append([make.task(make.region(1, 10)), make.task(make.region(4, 4), video="other.mp4")])
EVENT = json.loads(document("events").splitlines()[0])
PROJECT = (
    "<annotations><meta><project><tasks>"
    + "".join(
        f"<task><id>{n}</id><name>t{n}</name><size>50</size><subset>Train</subset><start_frame>0</start_frame>"
        f"<stop_frame>49</stop_frame><frame_filter>step=1</frame_filter><source>{v}.mp4</source></task>"
        for n, v in ((1, "v"), (2, "w"))
    )
    + '</tasks></project></meta><track id="0" label="take" task_id="2"><box frame="60" outside="0"/><box frame="70" '
    'outside="1"/></track><image id="55" task_id="2"><tag label="put"/></image></annotations>'
)
XML = {"cvat": [document("cvat"), PROJECT], "elan": [document("elan")]}


@pytest.mark.parametrize("name", list(JSON))
@given(data=st.data())
@settings(max_examples=examples(40, 120), deadline=None)
def test_json_with_strange_values(name, data):
    value = data.draw(st.sampled_from(JSON[name]))
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from(list(places(value))))
        value = changed(value, path, data.draw(st.sampled_from(STRANGE)), drop=bool(path) and data.draw(st.booleans()))
    survives(name, raw(value))


@given(data=st.data())
@settings(max_examples=examples(50, 150), deadline=None)
def test_events_with_strange_values(data):
    event = changed(EVENT, (data.draw(st.sampled_from(list(EVENT))),), data.draw(st.sampled_from(STRANGE)), drop=False)
    survives("events", raw(EVENT) + b"\n" + raw(event) + b"\n")


def raw(value) -> bytes:
    text = json.dumps(value).replace(f'"{HUGE}"', "1" * 5000).replace(f'"{INFINITE}"', "1e400")
    return text.encode()


@pytest.mark.parametrize("name", list(TABLES))
@given(data=st.data())
@settings(max_examples=examples(40, 120), deadline=None)
def test_tables_with_strange_cells(name, data):
    text = data.draw(st.sampled_from(TABLES[name]))
    tabs = "\t" in text
    rows = list(csv.reader(io.StringIO(text), delimiter="\t" if tabs else ","))
    for _ in range(data.draw(st.integers(1, 2))):
        row = data.draw(st.sampled_from(rows))
        column = data.draw(st.integers(0, max(len(row) - 1, 0)))
        kind = data.draw(st.sampled_from(["cell", "cell", "drop", "more"]))
        if kind == "cell" and row:
            row[column] = data.draw(st.sampled_from([*TEXTS, "[]", "[1]", "{", '{"1": 2}', '["v.mp4"]']))
        elif kind == "drop":
            del row[column:]
        else:
            row.insert(column, data.draw(st.sampled_from(TEXTS)))
    out = io.StringIO()
    csv.writer(out, delimiter=data.draw(st.sampled_from(["\t" if tabs else ",", ";"]))).writerows(rows)
    survives(name, out.getvalue().encode())


@pytest.mark.parametrize("name", list(XML))
@given(data=st.data())
@settings(max_examples=examples(40, 120), deadline=None)
def test_xml_with_strange_values(name, data):
    root = ElementTree.fromstring(data.draw(st.sampled_from(XML[name])))
    for _ in range(data.draw(st.integers(1, 2))):
        element = data.draw(st.sampled_from(list(root.iter())))
        kind = data.draw(st.sampled_from(["text", "attribute", "drop", "children", "twice"]))
        if kind == "text":
            element.text = data.draw(st.sampled_from(TEXTS))
        elif kind == "attribute" and element.attrib:
            element.set(data.draw(st.sampled_from(sorted(element.attrib))), data.draw(st.sampled_from(TEXTS)))
        elif kind == "drop" and element.attrib:
            del element.attrib[data.draw(st.sampled_from(sorted(element.attrib)))]
        elif kind == "children":
            element[:] = []
        elif len(element):
            element.append(copy.deepcopy(element[0]))
    survives(name, ElementTree.tostring(root))


@pytest.mark.parametrize("name", ["webvtt", "srt", "frames"])
@given(data=st.data())
@settings(max_examples=examples(40, 120), deadline=None)
def test_lines_with_strange_text(name, data):
    lines = document(name).split("\n")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        kind = data.draw(st.sampled_from(["text", "drop", "twice", "digits"]))
        if kind == "text":
            lines[at] = data.draw(st.sampled_from([*TEXTS, "-->", "00:01.000 --> 00:02.000", "1 --> 2", "NOTE x"]))
        elif kind == "drop" and len(lines) > 1:
            del lines[at]
        elif kind == "digits":
            lines[at] = lines[at].replace("0", "0" * data.draw(st.sampled_from([2, 40, 5000])))
        else:
            lines.insert(at, lines[at])
    survives(name, "\n".join(lines).encode())


@pytest.mark.parametrize("name", [n for n, form in FORMATS.items() if form.read])
@given(data=st.binary(max_size=200))
@settings(max_examples=examples(15, 40), deadline=None)
def test_any_bytes(name, data):
    survives(name, data)


@pytest.mark.parametrize("name", [n for n, form in FORMATS.items() if form.read])
@pytest.mark.parametrize("kind", ["utf-16", "cut", "deep list", "deep object", "zeros", "latin-1"])
def test_whole_files_of_the_wrong_kind(name, kind):
    text = document(name)
    data = {
        "utf-16": text.encode("utf-16"),
        "cut": text.encode()[: len(text) // 2],
        "deep list": b"[" * 100_000,
        "deep object": b'{"a":' * 100_000,
        "zeros": b"\0" * 1000,
        "latin-1": (text + "\u00e9").encode("latin-1"),
    }[kind]
    survives(name, data)
