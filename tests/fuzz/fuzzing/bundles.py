"""Readers of bundles and backbone folders. Ids and hashes are made right where they can be, so that what is behind them
is reached."""

from __future__ import annotations

import io
import json
import random
import shutil
import struct
import zipfile
from importlib import resources
from pathlib import Path

from . import Target
from .mutate import change_bytes, change_json, dumped
from .state import check_events, localizer

SHIPPED = resources.files("punctum.runtime") / "assets"


def manifest(folder: Path) -> Target:
    from punctum.runtime.bundle.manifest import Manifest, content_id, identified
    from punctum.runtime.bundle.reader import Bundle
    from punctum.runtime.live import LiveOptions
    from punctum.runtime.localizer import Localizer
    from pydantic import ValidationError

    _, features = localizer()
    base = folder / "bundle"
    with resources.as_file(SHIPPED / "demo") as source:
        shutil.copytree(source, base, dirs_exist_ok=True)
    seed = (base / "manifest.json").read_bytes()

    def run(data: bytes) -> None:
        (base / "manifest.json").write_bytes(data)
        loc = Localizer(Bundle.load(base))
        for live in (None, LiveOptions(max_delay_s=1.0)):
            session = loc.session(live=live)
            events = session.push(features)
            again = loc.restore(session.snapshot())
            check_events(events + again.flush())

    def mutate(data: bytes, rng: random.Random) -> bytes:
        changed = change_json(data, rng)
        if rng.random() < 0.2:
            return changed
        try:
            made = Manifest.model_validate(record := json.loads(changed))
            record["id"] = content_id(made.name, made.version, made.files, identified(made))
        except (ValueError, ValidationError, TypeError, AttributeError, KeyError, RecursionError, OverflowError):
            return changed
        return dumped(record)

    return Target([seed], run, mutate, cases=120)


def zipped(folder: Path) -> Target:
    from punctum.runtime.bundle.reader import Bundle

    file = folder / "bundle.zip"
    parts = {}
    with resources.as_file(SHIPPED / "demo") as source:
        parts = {path.name: path.read_bytes() for path in sorted(source.iterdir())}
    seeds = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as archive:
            for name, data in parts.items():
                archive.writestr(zipfile.ZipInfo(name), data, method)
        seeds.append(stream.getvalue())

    def run(data: bytes) -> None:
        file.write_bytes(data)
        Bundle.load(file)

    def mutate(data: bytes, rng: random.Random) -> bytes:
        """Mostly the headers: between them lie the graphs, whose hashes are checked."""
        if rng.random() < 0.2:
            return change_bytes(data, rng)
        out = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 4])):
            marks = [m for sign in (b"PK\x01\x02", b"PK\x05\x06", b"PK\x03\x04") for m in _found(out, sign)]
            if not marks:
                break
            at = rng.choice(marks) + rng.randrange(46)
            value = rng.choice([0, 1, 0x7F, 0x80, 0xFF, 12, 14, 93, 99])
            if at < len(out):
                out[at] = value
            if rng.random() < 0.2 and at + 4 <= len(out):
                out[at : at + 4] = struct.pack("<I", rng.choice([0, 2**31 - 1, 2**32 - 1, 5_000_000]))
        return bytes(out)

    return Target(seeds, run, mutate, cases=200)


def _found(data: bytearray, sign: bytes) -> list[int]:
    places, at = [], data.find(sign)
    while at >= 0:
        places.append(at)
        at = data.find(sign, at + 1)
    return places


def graph(folder: Path) -> Target:
    """What a graph may refer to is read from its bytes before an engine sees them."""
    from punctum.runtime.bundle.graph_scan import check_graph
    from punctum.runtime.bundle.reader import Bundle

    shipped = Bundle.load("default")

    def run(data: bytes) -> None:
        check_graph(data, "graph")

    def mutate(data: bytes, rng: random.Random) -> bytes:
        """Mostly the ends, where the fields of the outer messages are: the middle is numbers."""
        if rng.random() < 0.3:
            return change_bytes(data, rng)
        half = len(data) // 2
        size = rng.choice([64, 1000, 20_000])
        first, last = change_bytes(data[:size], rng), change_bytes(data[-size:], rng)
        return rng.choice([first + data[size:], data[:-size] + last, data[:half] + last, first])

    return Target([shipped.graph("center"), shipped.graph("locator")], run, mutate, cases=100)


def backbone(folder: Path) -> Target:
    """A backbone folder: its spec, and a graph that is a real one."""
    from punctum.runtime.backbone.backbone import VideoBackbone
    from punctum.runtime.backbone.folder import SPEC_FILE
    from punctum.runtime.bundle.reader import Bundle

    shipped = Bundle.load("default")
    spec = shipped.manifest.backbone
    if spec is None:
        raise RuntimeError("the shipped bundle takes no video")
    (folder / spec.file).write_bytes(shipped.graph("backbone"))
    plain = spec.model_copy(update={"fingerprint": None})
    seeds = [spec.model_dump_json().encode(), plain.model_dump_json().encode()]

    def run(data: bytes) -> None:
        (folder / SPEC_FILE).write_bytes(data)
        VideoBackbone.load(folder)

    return Target(seeds, run, change_json, cases=60)
