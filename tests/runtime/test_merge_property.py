"""`punctum data merge` loses nothing, whatever the labels are."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime import Dataset
from punctum.runtime.datasets.background import read_background
from punctum.runtime.datasets.labeled import read_labeling
from punctum.runtime.labeling.clicks import read_clicks
from punctum.runtime.merge.run import merge_folders

from tests.helpers.merging import content, folder

CLASSES = ["open", "close", "knock"]
TIMES = st.integers(0, 60_000).map(lambda ms: ms / 1000)
LABELS = st.sampled_from(CLASSES)
WHO = st.sampled_from(["", "ann", "bob"])
CLICK = st.tuples(LABELS, TIMES, WHO)
SPAN = st.tuples(TIMES, st.integers(1, 9000).map(lambda ms: ms / 1000), st.sampled_from(["", *CLASSES]))
VIDEO = st.fixed_dictionaries(
    {
        "clicks": st.lists(CLICK, max_size=4),
        "spans": st.lists(SPAN, max_size=3),
        "withheld": st.lists(SPAN, max_size=2),
        "mark": st.sampled_from(["", "nothing", "finished", "partly"]),
    }
)
FOLDERS = st.lists(st.dictionaries(st.sampled_from("abcd"), VIDEO, min_size=1), min_size=1, max_size=3)
CLICKED = {"clicks": [("open", 1.0, "ann")], "spans": [], "withheld": [], "mark": ""}


def make(place: Path, name: str, videos: dict) -> Path:
    """A folder. One video has a click, so that every folder by itself is a data set."""
    every = {**videos, "sure": CLICKED}
    marks: dict[str, dict] = {"nothing": {}, "finished": {}, "partly": {}}
    for video, said in every.items():
        if said["mark"]:
            marks[said["mark"]][video] = {"ann": "t"}
    spans = {
        kind: [f"{v},{s:.3f},{s + d:.3f},{c},,," for v, said in every.items() for s, d, c in said[kind]]
        for kind in ("spans", "withheld")
    }
    rows = [f"{c},{v},{t:.3f},{who},," for v, said in every.items() for c, t, who in said["clicks"]]
    return folder(place / name, list(every), clicks=rows, classes=CLASSES, **spans, **marks)


def said(place: Path, *, withheld: bool = True) -> Counter[tuple]:
    """Every click and every span of a folder, by the content of its video."""
    of = {path.stem: path.read_text() for path in (place / "videos").iterdir()}
    found = [
        ("click", of[c.video], c.label, round(c.time_s, 3), c.annotator) for c in read_clicks(place / "points.csv")
    ]
    for file in ("background.csv", "withheld.csv")[: 2 if withheld else 1]:
        found += [("span", of[r.video], r.label, r.start_s, r.end_s) for r in read_background(place / file)]
    return Counter(found)


def trained(place: Path) -> dict[str, object]:
    """What training reads, by the content of the videos."""
    data = Dataset.open(place, need_features=False)
    of = {path.stem: path.read_text() for path in (place / "videos").iterdir()}
    return {
        "labels": data.labels,
        "train": {of[video] for video in data.train},
        "points": {of[video]: found for video, found in data.points().items()},
        "background": {of[video]: found for video, found in data.background().items()},
        "partly": {of[video] for video in data.partly()},
        "unlabeled": data.unlabeled,
    }


@given(FOLDERS)
@settings(deadline=None, max_examples=20)
def test_no_click_and_no_span_is_lost(given_folders):
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        folders = [make(place, f"f{k}", videos) for k, videos in enumerate(given_folders)]
        merge_folders(folders, place / "all")
        merge_folders(folders[::-1], place / "again" / "all")
        assert content(place / "all") == content(place / "again" / "all")
        found, wanted = said(place / "all"), sum((said(one) for one in folders), Counter())
        # A span that is certified and withheld as well is one span.
        assert set(found) == set(wanted)
        assert {key: n for key, n in found.items() if key[0] == "click"} == {
            key: n for key, n in wanted.items() if key[0] == "click"
        }
        clicked = {key[2] for key in found if key[0] == "click"}
        held = read_background(place / "all" / "withheld.csv")
        assert all(row.label not in clicked and row.label for row in held)
        assert merged_marks(place / "all") == Counter(mark for one in folders for mark in merged_marks(one).elements())


def merged_marks(place: Path) -> Counter[tuple[str, str]]:
    record = read_labeling(place)
    of = {path.stem: path.read_text() for path in (place / "videos").iterdir()}
    kinds = {"nothing": record.nothing, "finished": record.finished}
    return Counter((kind, of[video]) for kind, marks in kinds.items() for video in marks)


@given(st.dictionaries(st.sampled_from("abcd"), VIDEO))
@settings(deadline=None, max_examples=20)
def test_one_folder_stays_as_it_is(videos):
    for said_of in videos.values():
        said_of["withheld"] = []
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        one = make(place, "one", videos)
        merge_folders([one], place / "all")
        assert trained(place / "all") == trained(one)
        assert said(place / "all") == said(one)
