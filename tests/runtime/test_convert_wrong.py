"""Files that are wrong end in an error that helps, and nothing is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime.cli import invoke
from punctum.runtime.convert import FORMATS, Timelines, WriteOptions, convert, read_rates
from punctum.runtime.errors import InputError

from tests.helpers import converting as make

MARKS, MIXED, RATES, read, write = make.MARKS, make.MIXED, make.RATES, make.read, make.write
region, task, cvat, shape = make.region, make.task, make.cvat, make.shape


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]>'
EAF = '<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="{0}"/><TIME_ORDER><TIME_SLOT TIME_SLOT_ID="t" TIME_VALUE="{1}"/>'
EAF += "</TIME_ORDER>"
EVENT = '{"schema":"punctum.event/1","stream":"s","event":"e","revision":0,"phase":"final","label":"a","score":SCORE,'
EVENT += '"start":START,"end":END,"emitted_at":1,"delay_s":0,"bundle":"b"}'
WRONG = {
    "a.jsonl": [
        "",
        "nonsense\n",
        "{}\n",
        EVENT.replace("SCORE", "NaN").replace("START", "0").replace("END", "1"),
        EVENT.replace("SCORE", "1").replace("START", "2").replace("END", "1"),
        EVENT.replace("SCORE", "1").replace("START", '"x"').replace("END", "1"),
        EVENT.replace("SCORE", "1").replace("START", "1" * 400).replace("END", "1"),
        "[" * 100_000,
        "\x00\xff",
    ],
    "a.json": [
        "",
        "{",
        "[]",
        "7",
        "{}",
        "[" * 100_000,
        '{"results": {}, "database": {}}',
        '{"results": []}',
        '{"results": {"v": {}}}',
        '{"results": {"v": [{"label": "a", "segment": [1, 2]}]}}',
        '{"results": {"v": [{"label": "a", "score": 1, "segment": [2, 1]}]}}',
        '{"results": {"v": [{"label": "a", "score": 1, "segment": [0, Infinity]}]}}',
        '{"results": {"v": [{"label": "", "score": 1, "segment": [0, 1]}]}}',
        '{"results": {"v": [{"label": 7, "score": 1, "segment": [0, 1]}]}}',
        '{"results": {"v": [{"label": "\\ud800", "score": 1, "segment": [0, 1]}]}}',
        '{"database": {"v": 7}}',
        '{"database": {"v": {"annotations": [{"label": "a", "segment": ["x", 2]}]}}}',
        '[{"data": {"video": "v"}, "annotations": [{"result": [7]}]}]',
        '[{"data": {"video": "v"}, "annotations": [{"result": [{"value": {"timelinelabels": ["a"]}}]}]}]',
        json.dumps([task(region("x", 2))]),
        json.dumps([task(region(9, 2))]),
        json.dumps([task(region(None, None))]),
        json.dumps([task(region(1, 1e300))]),
    ],
    "a.csv": [
        "",
        "class\n",
        "class,video_id\na,v\n",
        "class,time_s\na,1\n",
        "class,video_id,time_s\na,v,x\n",
        "class,video_id,time_s\na,v\n",
        "class,video_id,time_s\na,v,nan\n",
        "class,video_id,time_s\na,v,-1\n",
        "class,video_id,time_s\n,v,1\n",
        "class,video_id,start_s,end_s\na,v,2,1\n",
        'class,video_id,time_s\n"a,v,1\n',
    ],
    "a.vtt": [
        "",
        "WEBVT\n",
        "WEBVTT\n\n1\n",
        "WEBVTT\n\n00:01 --> 00:02\na\n",
        "WEBVTT\n\n00:02.000 --> 00:01.000\na\n",
        "WEBVTT\n\n00:61.000 --> 00:62.000\na\n",
        "WEBVTT\n\nname\nother\n00:01.000 --> 00:02.000\na\n",
    ],
    "a.eaf": [
        "",
        "<ANNOTATION_DOCUMENT>",
        "<annotations/>",
        f"{BOMB}<ANNOTATION_DOCUMENT>&b;</ANNOTATION_DOCUMENT>",
        f"{OUTSIDE}<ANNOTATION_DOCUMENT>&f;</ANNOTATION_DOCUMENT>",
        EAF.format("PAL-frames", 1) + "</ANNOTATION_DOCUMENT>",
        EAF.format("milliseconds", "soon") + "</ANNOTATION_DOCUMENT>",
        '<?xml version="1.0" encoding="klingon"?><ANNOTATION_DOCUMENT/>',
        "<a>" * 100_000,
    ],
    "a.xml": [
        "",
        "<other/>",
        f"{BOMB}<annotations>&b;</annotations>",
        cvat(f'<track id="0" label="a">{shape(1).replace("frame=", "fame=")}</track>'),
        cvat('<track id="0" label="a"><box frame="x"/></track>'),
        cvat('<track id="0" label="a"><box frame="-5"/></track>'),
        cvat(f'<track id="0">{shape(1)}</track>'),
        cvat('<image><tag label="a"/></image>'),
    ],
    "a.zip": ["", "PK\x03\x04nonsense"],
    "a.txt": ["", "hello", "class a"],
    "a.parquet": ["", "PAR1"],
}


@pytest.mark.parametrize(("name", "number"), [(name, i) for name, texts in WRONG.items() for i in range(len(texts))])
def test_what_is_wrong_is_said_and_nothing_is_written(tmp_path, capsys, name, number):
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    text = WRONG[name][number]
    (tmp_path / name).write_bytes(text.encode("latin-1" if "\xff" in text else "utf-8"))
    out = tmp_path / "out"
    empty = not text and name == "a.jsonl"
    assert invoke(["convert", str(tmp_path / name), str(out), "--to", "webvtt", "--fps", "10"]) == 2
    said = capsys.readouterr().err
    assert "error" in said
    assert "Traceback" not in said
    assert empty or name in said.replace("\n", "")
    assert not out.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


def test_what_cannot_be_converted(tmp_path):
    source = tmp_path / "p.csv"
    source.write_text("class,video_id,time_s\na,v,1\nb,w,2\n")

    def refused(code: str, target: str, **options) -> None:
        with pytest.raises(InputError) as caught:
            convert(str(options.pop("source", source)), str(tmp_path / target), **options)
        assert caught.value.code == code
        assert not (tmp_path / "new").exists()

    refused("form-no-clicks", "new/e.jsonl")
    refused("form-ambiguous", "new/x.json")
    refused("form-unknown", "new/x.abc")
    refused("form-no-clicks", "new/gt.json")
    refused("form-unknown", "new/x", target_form="docx")
    refused("convert-many", "new/x.vtt")
    refused("convert-missing", "new/x.vtt", source=tmp_path / "nowhere.csv")
    refused("fps-missing", "new/x", target_form="cvat")
    refused("label-unknown", "new/x.csv", labels=["c"])
    refused("output-is-input", "p.csv")
    refused("output-is-input", ".", target_form="webvtt", replace_target=True)
    (tmp_path / "q.csv").write_text(source.read_text())
    refused("output-exists", "q.csv")
    refused("convert-media", "new/x", target_form="elan", writing=WriteOptions(media="one.mp4"))
    source.write_text("class,video_id,time_s\na,../v,1\n")
    refused("convert-names", "new/x", target_form="webvtt")
    source.write_text("class,video_id,time_s\na,v,1\na,V,1\n")
    refused("convert-names", "new/x", target_form="webvtt")
    source.write_text("class,video_id,time_s\na,v,5000000\n")
    refused("elan-time", "new/x", target_form="elan")
    (tmp_path / "mixed.vtt").write_text(write("webvtt"))
    refused("form-one-kind", "new/x.csv", source=tmp_path / "mixed.vtt")


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "nowhere.json"])
def test_wrong_rates(text):
    with pytest.raises(InputError, match="rate"):
        read_rates(text)


def test_rates_from_files(tmp_path):
    for content, fps, seconds in (
        ({"name": "x", "fps": 15}, 15.0, None),
        ({"v": 30.0, "w": 25}, 30.0, None),
        ({"database": {"v": {"fps": 24, "duration": 7.5}, "w": {}}}, 24.0, 7.5),
    ):
        path = tmp_path / "r.json"
        path.write_text(json.dumps(content))
        rates = read_rates(str(path))
        assert (rates.known("v"), rates.duration.get("v")) == (fps, seconds)
    for content in ("[]", "{}x", '{"v": "fast"}', '{"database": {}}', '{"fps": 0}'):
        Path(path).write_text(content)
        with pytest.raises(InputError):
            read_rates(str(path))


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if form.read])
@given(data=st.data())
@settings(max_examples=40)
def test_damaged_files_end_in_an_input_error_or_not_at_all(name, data):
    lines = MIXED if FORMATS[name].clicks and FORMATS[name].mixed else Timelines(MARKS[:3], ("v",))
    raw = bytearray(write(name, lines).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        kind = data.draw(st.sampled_from(["cut", "byte", "drop", "twice"]))
        length = data.draw(st.integers(1, 30))
        if kind == "cut" and at:
            del raw[at:]
        elif kind == "byte":
            raw[at] = data.draw(st.integers(0, 255))
        elif kind == "drop" and len(raw) > length:
            del raw[at : at + length]
        else:
            raw[at:at] = raw[at : at + length]
        if not raw:
            return
    try:
        found = read(name, bytes(raw))
        for other in FORMATS.values():
            if other.name != "parquet" and len(found.videos) == 1 and (other.mixed or not found.clicks):
                other.write(found, WriteOptions(RATES))
    except InputError as error:
        assert error.given
