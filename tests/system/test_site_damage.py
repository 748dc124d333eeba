"""A database that is damaged while the service runs: the service ends, and the next start repairs it."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

for library in ("yaml", "fastapi", "uvicorn", "urllib3", "prometheus_client", "onnxruntime"):
    pytest.importorskip(library, reason=f"punctum serve needs {library}")

from punctum.runtime.bundle import Bundle  # noqa: E402
from punctum.runtime.localizer import Localizer  # noqa: E402
from punctum.runtime.synthetic.sensors import make_sequence  # noqa: E402

from tests.helpers.sites import Site, finals, lines  # noqa: E402

pytestmark = pytest.mark.slow
DEMO = Path(__file__).parents[2] / "runtime" / "assets" / "demo"
PAGE = 4096


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    cameras = {}
    for seed, name in enumerate(("hall", "yard")):
        np.save(tmp_path / f"{name}.npy", make_sequence(seed=seed, seconds=240).features)
        cameras[name] = {"source": f"{name}.npy", "bundles": ["demo"], "min_score": 0.0}
    sinks = {"file": {"type": "jsonl", "path": "events.jsonl"}}
    site = Site(tmp_path, {"bundles": {"demo": {"path": str(DEMO)}}, "cameras": cameras, "sinks": sinks})
    yield site
    site.close()


def overwrite(folder: Path, dice: random.Random) -> None:
    """Overwrite a third of all pages of the database and of its log."""
    for name, skip in (("site.db", PAGE), ("site.db-wal", 32)):
        path = folder / name
        with path.open("r+b") as file:
            for at in range(skip, path.stat().st_size, PAGE):
                if dice.random() < 0.3:
                    file.seek(at)
                    file.write(dice.randbytes(PAGE))


def ended(site: Site) -> bool:
    return set(site.states().values()) == {"ended"} and all(s["waiting"] == 0 for s in site.get("/sinks")["sinks"])


def test_a_service_whose_database_is_damaged_ends_and_the_next_start_repairs_it(site):
    dice = random.Random(8)
    for number in range(3):
        site.start()
        if number < 2:
            wanted = 20 * (number + 1)
            site.until(lambda wanted=wanted: len(finals(site.folder / "events.jsonl")) >= wanted, 120)
        else:
            site.until(lambda: ended(site), 120)
        overwrite(site.folder / "state", dice)
        limit = time.monotonic() + 60
        while site.process.poll() is None and time.monotonic() < limit:  # what reads the damaged pages finds them
            try:
                site.get("/events?limit=1000")
                site.request("POST", "/cameras/hall/enable", {})
            except (AssertionError, OSError, ValueError):
                pass
            time.sleep(0.2)
        if site.process.poll() is None:  # all that was read is in memory: found at the next start
            site.kill()
            continue
        assert site.process.wait() == 1
        assert "[site-store-damaged]" in site.text()
        assert "Traceback" not in site.text()
    site.start()
    site.until(lambda: ended(site), 120)
    assert "was damaged" in site.text()
    assert any("was damaged" in text for text in site.get("/site")["degraded"])
    assert len(list((site.folder / "state").glob("damaged-*"))) >= 1
    assert site.stop() == 0
    assert "bundle demo: failed" not in site.text()
    told = lines(site.folder / "events.jsonl")
    assert len({(one["event"], one["revision"]) for one in told}) == len(told)
    for name in ("hall", "yard"):  # recordings whose events were lost are read again, and give the same ids
        expected = Localizer(Bundle.load(DEMO)).localize(np.load(site.folder / f"{name}.npy"), stream=name)
        mine = finals(site.folder / "events.jsonl", name)
        told_as, wanted_as = (
            sorted((e["label"], e["start"]) for e in mine),
            sorted((e.label, e.start) for e in expected),
        )
        assert [label for label, _ in told_as] == [label for label, _ in wanted_as]
        assert [start for _, start in told_as] == pytest.approx([start for _, start in wanted_as], abs=1e-3)


def test_a_database_that_is_deleted_is_noticed_at_once(site):
    site.start()
    (site.folder / "state" / "site.db").unlink()
    site.until(lambda: site.process.poll() is not None, 60)
    assert site.process.wait() == 1
    assert "was deleted or replaced" in site.text()
    site.start()
    site.until(lambda: ended(site), 120)
    assert site.stop() == 0
    told = lines(site.folder / "events.jsonl")
    assert len({(one["event"], one["revision"]) for one in told}) == len(told)
