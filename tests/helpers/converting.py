"""Marks to convert, and files as annotation tools write them."""

from __future__ import annotations

from punctum.runtime.convert import FORMATS, Mark, ReadOptions, Timelines, WriteOptions, read_rates
from punctum.runtime.convert._options import Source

FPS = 10.0
RATES = read_rates(str(FPS))
MARKS = (
    Mark("v", "take <&> \"it\" 'é'", 1.0, 2.5, 0.875),
    Mark("v", "take <&> \"it\" 'é'", 2.0, 3.0, 0.5),
    Mark("v", "put", 0.0, 0.4),
    Mark("v", "put", 3661.25, None),
)
MIXED = Timelines(MARKS, ("v",), ("put", "never"))


def read(name: str, data: str | bytes, **options) -> Timelines:
    data = data.encode() if isinstance(data, str) else data
    source = Source(f"file{FORMATS[name].endings[0]}", data, "file")
    return FORMATS[name].read(source, ReadOptions(**{"rates": RATES, **options}))


def write(name: str, lines: Timelines = MIXED, **options) -> str:
    return FORMATS[name].write(lines, WriteOptions(**{"rates": RATES, **options})).data


def told(lines: Timelines) -> list[tuple]:
    return sorted(((m.label, m.start, m.end) for m in lines.marks), key=lambda m: (m[1], m[0]))


def region(start, end, label="take", control="videoLabels", **more):
    value = {"ranges": [{"start": start, "end": end}], "timelinelabels": [label]}
    return {"id": "x", "type": "timelinelabels", "from_name": control, "to_name": "video", "value": value, **more}


def task(*results, video="/data/upload/7/0a1b2c3d-S1_Tea.mp4", **more):
    made = [{"id": 1, "was_cancelled": False, "result": list(results)}]
    return {"id": 4, "data": {"video": video}, "annotations": made, "predictions": [], **more}


HEAD = "<annotations><version>1.1</version><meta><task><name>batch 7</name><size>{size}</size>"
HEAD += "<stop_frame>{stop}</stop_frame><source>films\\S1 Tea.mp4</source>"
HEAD += "<labels><label><name>take</name></label></labels></task></meta>"


def cvat(body: str, size: int = 100) -> str:
    return HEAD.format(size=size, stop=size - 1) + body + "</annotations>"


def shape(frame: int, outside: int = 0, tag: str = "box", keyframe: int = 1) -> str:
    where = 'points="1,2"' if tag == "points" else 'xtl="1" ytl="1" xbr="2" ybr="2"'
    return f'<{tag} frame="{frame}" outside="{outside}" occluded="0" keyframe="{keyframe}" {where} z_order="0"></{tag}>'
