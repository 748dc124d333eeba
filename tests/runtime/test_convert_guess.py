"""What a file is told by, folders of texts, and what the help and the page of forms list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from punctum.runtime.convert import FORMATS, ReadOptions, Timelines, convert, read_data, read_rates
from punctum.runtime.convert._forms import detect_source
from punctum.runtime.convert._options import Source
from punctum.runtime.errors import InputError

from tests.helpers import converting as make

MIXED, read, write, told, region, shape = make.MIXED, make.read, make.write, make.told, make.region, make.shape


def by_video(lines: Timelines) -> list[tuple]:
    return [(m.video, m.label, m.start, m.end) for m in lines.marks]


def guessed(text: str, name: str = "file.txt") -> str:
    return detect_source(Source(name, text.encode(), "file"))[0].name


ROWS = "hand\tAnn\t00:00:01.000\t1.0\t00:00:02.500\t2.5\t00:00:01.500\t1.5\ttake\n"
ROWS += "hand\t\t01:00:00.000\t3600.0\t01:00:01.000\t3601.0\t00:00:01.000\t1.0\t\n"


@pytest.mark.parametrize(
    "text",
    [
        "hello\nworld\n",
        "a\n" * 5,
        "1\t2\n",
        "class a\n",
        '{"a": 1}',
        "[1, 2]",
        "name,value\nx,1\n",
        "v 1 2 3\n",
        "<html>",
    ],
)
def test_what_is_no_form_is_not_guessed(text):
    with pytest.raises(InputError, match="cannot be detected") as caught:
        guessed(text)
    assert "`source_form`" in caught.value.next_step


def test_what_may_be_two_forms_is_refused():
    both = json.dumps({"UrlLocal": "g", "annotations": [], "results": {}})
    with pytest.raises(InputError, match="it may be activitynet or soccernet") as caught:
        guessed(both, "x.json")
    assert "`source_form=activitynet`" in caught.value.next_step


def test_folders_of_texts(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("S1_Tea", "S2_Tea"):
        (folder / f"{name}.txt").write_text("background\n" * 10 + "take\n" * 10)
    out = tmp_path / "gt.json"
    convert(str(folder), str(out), target_form="activitynet-truth", reading=ReadOptions(read_rates("10")))
    assert list(json.loads(out.read_text())["database"]) == ["S1_Tea", "S2_Tea"]
    (folder / "notes.txt").write_text("v 1 2\n")
    with pytest.raises(InputError, match="several formats"):
        convert(str(folder), str(out), target_form="activitynet-truth", replace_target=True)


def test_replacing_a_folder_spares_files_of_other_forms(tmp_path):
    (tmp_path / "gt.csv").write_text("class,video,start,end\ntake,v,1,2\n")
    out = tmp_path / "out"
    for _ in range(2):
        convert(str(tmp_path / "gt.csv"), str(out), target_form="thumos", replace_target=True)
    (out / "notes.txt").write_text("what to do next\n")
    with pytest.raises(InputError, match="other files"):
        convert(str(tmp_path / "gt.csv"), str(out), target_form="thumos", replace_target=True)
    assert (out / "notes.txt").exists()


def test_content_is_read_without_a_file():
    assert by_video(read_data(ROWS.encode())) == [("data", "take", 1.0, 2.5), ("data", "hand", 3600.0, 3601.0)]
    assert read_data(b"class,video,time_s\na,v,1\n", "csv", name="p.csv").clicks == 1


def test_the_page_lists_every_form():
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "convert-annotations.md").read_text()
    for form in FORMATS.values():
        assert f"| `{form.name}` | {', '.join(form.endings)} |" in page


def test_help_names_every_form_and_what_is_background():
    from punctum.runtime.cli.convert import _BACKGROUND, _FORMS

    assert _FORMS.split(", ") == list(FORMATS)
    assert ReadOptions().background == _BACKGROUND


@pytest.mark.parametrize("name", [".", ".."])
def test_a_folder_is_no_name_of_a_video(name):
    """Other forms make a path of it, and would read it back as nothing."""
    with pytest.raises(InputError, match="line 2"):
        read("csv", f"video,start,end,label\n{name},1,2,take\n")


def test_the_latest_times_come_back_from_srt():
    lines = read("csv", "video,start,end,label\nv,1.5,9999999999,take\n")
    back = read("srt", write("srt", lines))
    assert [(m.start, m.end) for m in back.marks] == [(1.5, 9999999999.0)]
