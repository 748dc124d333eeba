"""Tables as spreadsheets and people write them: separators, decimal commas, clock times, names."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from punctum.runtime.datasets.tables import read_points, read_text, scan_points
from punctum.runtime.errors import InputError
from punctum.runtime.text.delimited import TableError, column_key, read_table
from punctum.runtime.text.names import MEDIA_ENDINGS, clean_name, media_name, media_path, video_name
from punctum.runtime.text.numbers import Style, parse_rate
from punctum.runtime.video.files import SUFFIXES


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12", 12.0),
        (" 12.5 ", 12.5),
        ("12,5", 12.5),
        (".5", 0.5),
        ("0,125", 0.125),
        ("1234,567", 1234.567),
        ("1e3", 1000.0),
        ("1,234.5", 1234.5),
        ("1.234,5", 1234.5),
        ("1 234,5", 1234.5),
        ("1\u202f234", 1234.0),
        ("1'234.5", 1234.5),
        ("1,234,567", 1234567.0),
        ("00:01:02.5", 62.5),
        ("1:02,5", 62.5),
        ("75:10", 4510.0),
        ("00:00:01.089", 1.089),
        ("100:00:00", 360000.0),
        ("00:00:01:12", 1.48),
    ],
)
def test_numbers_and_times(text, seconds):
    assert Style().seconds(text, 25.0) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "1_000",
        "1,2,3",
        "1.2.3",
        "0:60",
        "1:60:00",
        "1:2:3:4",
        "--1",
        "\u0661",
        "1,234",
        "9" * 41,
        "12 5",
        "1:",
    ],
)
def test_what_is_no_time(text):
    with pytest.raises(ValueError, match=r"number|minutes|thousands|time"):
        Style().seconds(text, 25.0)


@pytest.mark.parametrize(
    ("cells", "delimiter", "text", "value"),
    [
        (["12,5"], ",", "1,234", 1.234),
        (["12.5"], ",", "1,234", 1234.0),
        (["1,234.5"], ";", "1,234", 1234.0),
        ([], ";", "1,234", 1.234),
        ([], ",", "1.234", 1.234),
        (["1.234,5"], ";", "1.234", 1234.0),
        (["12.5"], ";", "1,234", None),
        (["12.5"], "\t", "1,234", 1234.0),
        (["12,5"], ";", "1.234", None),
        (["12,5", "12.5"], ";", "1,234", None),
        ([], ",", "1,234", None),
        ([], "\t", "1,234", None),
    ],
)
def test_what_a_cell_means_depends_on_its_neighbors(cells, delimiter, text, value):
    style = Style.of([*cells, text], delimiter)
    if value is None:
        with pytest.raises(ValueError, match=r"decimal|thousands"):
            style.number(text)
    else:
        assert style.number(text) == value


def test_time_codes_follow_the_frame_rate():
    rate = 30000 / 1001
    assert Style().seconds("00:01:00:00", rate) == pytest.approx(1800 / rate)
    assert Style().seconds("00:01:00;02", rate) == pytest.approx(1800 / rate)  # 60.06 s: two frames were dropped
    assert Style().seconds("00:10:00;00", rate) == pytest.approx(600.0, abs=0.02)
    for text, fps in (("00:00:01:25", 25.0), ("00:00:01:05", None), ("00:00:01;05", 25.0)):
        with pytest.raises(ValueError, match="frame"):
            Style().seconds(text, fps)


@given(st.floats(0, 1e9).map(lambda x: round(x, 3)), st.sampled_from("., "))
def test_what_is_written_is_read(value, group):
    point = "," if group == "." else "."
    text = f"{value:,.3f}".replace(",", "_").replace(".", point).replace("_", group)
    if text.count(group):
        assert Style.of([text]).number(text) == value


def test_rates():
    assert parse_rate("30000/1001") == pytest.approx(29.97003)
    assert (parse_rate("29,97"), parse_rate("23.976"), parse_rate(25)) == (29.97, 23.976, 25.0)
    for value in ("1/0", "x", "", True, None, [25], "25/1/1"):
        with pytest.raises((ValueError, TypeError)):
            parse_rate(value)
    assert parse_rate(10**400) == math.inf


@pytest.mark.parametrize("head", ["", "sep=;\n", '"sep=;"\n', "\n\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_of_spreadsheets(tmp_path, head, encoding):
    path = tmp_path / "points.csv"
    path.write_text(head + "Class;Video_ID;Time (s);Note\nöffnen;v1;12,5;\nöffnen;v1;1:02,5;x, y\n", encoding=encoding)
    rows = read_points(path)
    assert all((r.label, r.video, r.seconds) == ("öffnen", "v1", True) for r in rows)
    assert [r.frame for r in rows] == [12.5, 62.5]


def test_a_table_with_tabs_and_capitals(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("CLASS\tVIDEO\tPOINT\twhat, if any\npour\tv1\t1234\t;\n")
    (row,) = read_points(path)
    assert (row.label, row.video, row.frame, row.line) == ("pour", "v1", 1234.0, 2)


def test_an_unquoted_decimal_comma_is_refused_and_never_cut_off(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text('class,video_id,time_s\npour,v1,"12,5"\npour,v1,12,5\n')
    good, bad = scan_points(path)
    assert good.frame == 12.5
    assert math.isnan(bad.frame) and "decimal comma" in bad.problem
    with pytest.raises(InputError, match=r"line 3.*decimal comma"):
        read_points(path)
    path.write_text("class,video_id,time_s,note\npour,v1,12,5,\n")
    with pytest.raises(InputError, match="decimal comma"):
        read_points(path)
    path.write_text("class,video_id,time_s\npour,v1,12.5,\n")  # a comma too many, and nothing behind it
    assert read_points(path)[0].frame == 12.5


def test_two_columns_of_one_name():
    table = read_table("Start,start,END\n1,2,3\n")
    with pytest.raises(TableError, match="2 columns called start"):
        table.column("start")
    assert table.column("nothing", "end") == 2
    assert column_key(" Start  (s) ") == "start_s"
    with pytest.raises(TableError, match="line 3"):
        read_table('\na,b\n"c,d\n')


def test_names():
    for text in (
        "kitchen",
        "kitchen.mp4",
        "videos/kitchen.MP4",
        "C:\\data\\kitchen.avi",
        "https://x/y/kitchen.mp4?t=1",
    ):
        assert video_name(text) == "kitchen"
    assert (media_path("a/b/../kitchen.mp4"), media_path("kitchen"), media_path(".mp4")) == ("a/b/kitchen", None, None)
    assert video_name("v1.5") == "v1.5"
    assert (video_name("cafe\u0301.mp4"), media_name("cafe\u0301.mp4")) == ("caf\u00e9", "cafe\u0301")
    assert video_name("cam1/a") == "cam1/a"
    assert clean_name(" cafe\u0301 ") == "caf\u00e9"
    assert SUFFIXES <= MEDIA_ENDINGS


@given(st.binary(max_size=300))
def test_damaged_tables_end_in_an_error_or_not_at_all(tmp_path_factory, data):
    path: Path = tmp_path_factory.mktemp("t") / "points.csv"
    path.write_bytes(data)
    try:
        table = read_table(read_text(path))
        table.column("class", "start")
        for row in table.rows:
            for i in range(len(row.cells)):
                table.style(i)
    except (UnicodeDecodeError, TableError):
        pass
    try:
        scan_points(path)
    except InputError as error:
        assert error.given
