"""Readers of what a run keeps: the snapshot of a session, the checkpoint of a live run. Digests are made right."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from . import Target, WrongAnswer
from .mutate import behind_length, change_json


def localizer() -> Any:
    """The small bundle of sensors, and features for it."""
    from punctum.runtime.doctor.bundle import trial_bundle
    from punctum.runtime.localizer import Localizer
    from punctum.runtime.synthetic.sensors import make_sequence

    return Localizer(trial_bundle()), make_sequence(5, seconds=20).features


def check_events(events: list[Any]) -> None:
    """What every consumer relies on."""
    for event in events:
        record = json.loads(event.to_json())
        if not record["start"] <= record["end"]:
            raise WrongAnswer(f"start after end: {record}")


def sealed(data: bytes) -> bytes:
    return data + hashlib.sha256(data).digest()


def snapshot(folder: Path) -> Target:
    from punctum.runtime.live import LiveOptions

    loc, features = localizer()
    seeds = []
    for live in (None, LiveOptions(max_delay_s=1.0)):
        session = loc.session(stream="s", live=live)
        session.push(features[:120])
        session.push(features[120:140], at=15.0, lost=[(1, 2)])
        seeds.append(session.snapshot()[:-32])

    def run(data: bytes) -> None:
        session = loc.restore(sealed(data))
        events = []
        for i in range(140, 200, 20):
            events += session.push(features[i : i + 20])
        events += session.flush()
        check_events(events)
        session.snapshot()

    return Target(seeds, run, behind_length(len(b"punctum-session\n"), change_json), cases=200)


def checkpoint(folder: Path) -> Target:
    from punctum.runtime.service.checkpoint import MAGIC, Checkpoint
    from punctum.runtime.service.loop import Loop
    from punctum.runtime.sources.tail import RowFile

    loc, features = localizer()
    file, place = folder / "x.npy", folder / "run.snap"
    np.save(file, features)
    session = loc.session(stream="x")
    session.push(features[:120])
    name = Loop(loc, RowFile(file, dim=features.shape[1]), [])._source_key()
    Checkpoint(name, {"row": 120}, 0, (), session.snapshot()).save(place)
    seeds = [place.read_bytes()[:-32]]

    def run(data: bytes) -> None:
        place.write_bytes(sealed(data))
        found = Checkpoint.load(place)
        if found is None:
            return
        source = RowFile(file, dim=features.shape[1])
        source.open()
        try:
            loop = Loop(loc, source, [])
            loop.resume(found)
            loop.run()
        finally:
            source.close()

    def mutate(data: bytes, rng: Any) -> bytes:
        return behind_length(len(MAGIC), change_json)(data, rng)

    assert struct.unpack_from("<I", seeds[0], len(MAGIC))[0] < 1000
    return Target(seeds, run, mutate, cases=120)
