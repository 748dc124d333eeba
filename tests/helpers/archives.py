"""Small archives of the demo sensor, and the events that they must give."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime import Bundle, Localizer
from punctum.runtime.archive import ArchiveOptions, score_archive
from punctum.runtime.archive import run as archive_run
from punctum.runtime.archive._scorer import Scorer
from punctum.runtime.events.event import Event
from punctum.runtime.features.features import load_features
from punctum.runtime.synthetic.sensors import STRIDE_S, make_sequence

DEMO = Path(str(resources.files("punctum.runtime"))) / "assets" / "demo"


def make_archive(folder: Path, count: int, *, seconds: float = 20.0, step: float = 1.0) -> Path:
    """Recordings s000.npy, s001.npy, ... of growing length; every fifth in a folder of its own."""
    for i in range(count):
        place = folder / f"cam{i}" if i % 5 == 4 else folder
        place.mkdir(parents=True, exist_ok=True)
        np.save(place / f"s{i:03d}.npy", make_sequence(i, seconds=seconds + step * i).features)
    return folder


def expected(folder: Path) -> dict[str, list[Event]]:
    """Item -> events, one by one through `Localizer.localize`."""
    localizer = Localizer(Bundle.load(DEMO))
    found = {}
    for path in sorted(folder.rglob("*.npy")):
        name = path.relative_to(folder).as_posix()
        found[name] = localizer.localize(load_features(path, stride_s=STRIDE_S), stream=name.removesuffix(".npy"))
    return found


def run_here(bundle, options, groups, *, workers):
    """An engine without processes, for what does not concern them: each would take most of a second to start."""
    scorer = Scorer(bundle, options)
    return (scorer.score(group) for group in groups)


def score(bundle, inputs, out, **options):
    """An archive of a few recordings, in this process or, with `workers`, in others."""
    given = ArchiveOptions(**{"group_items": 5, "min_score": 0.0} | options)
    with pytest.MonkeyPatch.context() as patch:
        if "workers" not in options:
            patch.setattr(archive_run, "run_local", run_here)
        return score_archive(bundle, [str(i) for i in inputs], out, given, progress=False)


def same(found: list[Event], wanted: list[Event]) -> None:
    """The contract of the session: labels and order exactly, times and scores to 1e-4."""
    assert [(e.stream, e.label, e.bundle, e.phase) for e in found] == [
        (e.stream, e.label, e.bundle, e.phase) for e in wanted
    ]
    for a, b in zip(found, wanted, strict=True):
        assert (a.start, a.end, a.score) == (
            _near(b.start),
            _near(b.end),
            _near(b.score),
        )


def _near(value: float) -> object:
    import pytest

    return pytest.approx(value, abs=1e-4)


def content(folder: Path) -> dict[str, bytes]:
    """Everything that results consist of, by name; the ledger and the lock tell how the run went, not what it gave."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (".lock", "ledger.jsonl")
    }
