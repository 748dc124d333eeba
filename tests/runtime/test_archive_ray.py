"""What the Ray engine does on this side of a cluster. The cluster itself: tests/system/test_score_ray.py."""

from __future__ import annotations

import contextlib
import http.server
import pickle
import socket
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("pyarrow", reason="archives need pyarrow (the extra `archive`)")
pytest.importorskip("onnxruntime", reason="scoring needs onnxruntime")
from punctum.runtime import Bundle, __version__
from punctum.runtime.archive import ArchiveOptions, _ray_cluster, ray_engine, score_archive
from punctum.runtime.archive._groups import make_groups
from punctum.runtime.archive._items import Outcome, Record, Task
from punctum.runtime.archive._scorer import Scorer
from punctum.runtime.archive.inputs import find_items
from punctum.runtime.errors import InputError, MissingDependencyError, PunctumError

from tests.helpers import archives


@pytest.fixture(scope="module")
def bundle():
    return Bundle.load(archives.DEMO)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    return archives.make_archive(tmp_path_factory.mktemp("recordings"), 6, seconds=10)


@pytest.fixture(scope="module")
def groups(recordings):
    items = find_items([str(recordings)])
    return make_groups([Task(item) for item in items], archive_items=len(items), most=2)


def closed_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"address": "nonsense"}, "ray-address"),
        ({"address": "ray://127.0.0.1:10001"}, "ray-address"),
        ({"address": "127.0.0.1:99999"}, "ray-unreachable"),
        ({"address": None, "device": "cuda"}, "needs-gpus"),
        ({"address": None, "device": "cuda:1", "gpus": 1.0}, "device"),
    ],
)
def test_clusters_that_cannot_be(bundle, recordings, tmp_path, options, code):
    with pytest.raises(InputError) as caught:
        run(bundle, recordings, tmp_path, **options)
    assert caught.value.code == code


def test_nobody_listens(bundle, recordings, tmp_path):
    with pytest.raises(InputError) as caught:
        run(bundle, recordings, tmp_path, address=closed_port())
    assert caught.value.code == "ray-unreachable"


def test_somebody_else_listens(bundle, recordings, tmp_path):
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as other:
        thread = threading.Thread(target=other.handle_request)
        thread.start()
        with pytest.raises(InputError) as caught:
            run(bundle, recordings, tmp_path, address=f"127.0.0.1:{other.server_port}")
        thread.join()
    assert caught.value.code == "ray-unreachable"
    assert "no Ray cluster" in str(caught.value)


def run(bundle, recordings, tmp_path, **options):
    given = ArchiveOptions(engine="ray", **options)
    return score_archive(bundle, [str(recordings)], tmp_path / "out", given, progress=False)


def test_without_ray(bundle, recordings, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(MissingDependencyError) as caught:
        run(bundle, recordings, tmp_path)
    assert "punctum[ray]" in caught.value.next_step


def test_an_actor_does_what_a_process_does(bundle, groups):
    actor = ray_engine.RayWorker(bundle, ArchiveOptions(), str(Path.cwd()), __version__)
    answer = actor({"key": 7, "group": pickle.dumps(groups[0])})
    assert answer["key"] == 7
    said = pickle.loads(answer["result"])
    wanted = Scorer(bundle, ArchiveOptions()).score(groups[0])
    assert (said.records, said.part_name, said.part) == (wanted.records, wanted.part_name, wanted.part)


@pytest.mark.parametrize(
    ("options", "version", "code"),
    [(ArchiveOptions(), "0.0.1", "ray-version"), (ArchiveOptions(device="abacus"), __version__, "device")],
)
def test_an_actor_that_cannot_work_says_why(bundle, groups, options, version, code):
    actor = ray_engine.RayWorker(bundle, options, "/nowhere", version)
    said = pickle.loads(actor({"key": 0, "group": pickle.dumps(groups[0])})["result"])
    assert isinstance(said, PunctumError)
    assert code in said.code


class RayError(Exception):
    pass


@pytest.fixture
def passes(monkeypatch):
    """`run_ray` with simulated passes: a function of the groups of a pass returns the results."""

    def install(answer):
        def passed(bundle, options, groups, *, workers, ahead):
            log.append(([[t.item.name for t in g.tasks] for g in groups], ahead))
            yield from answer(groups)

        log: list = []
        monkeypatch.setattr(ray_engine, "connected", lambda options: contextlib.nullcontext(2))
        monkeypatch.setattr(
            ray_engine, "load_ray", lambda: SimpleNamespace(exceptions=SimpleNamespace(RayError=RayError))
        )
        monkeypatch.setattr(ray_engine, "_run_pass", passed)
        return log

    return install


def done(group):
    records = tuple(Record(t.item.name, t.item.kind, "done", t.item.stamp, 1) for t in group.tasks)
    return Outcome(group.number, records, "", b"", 0.0)


def test_the_item_that_kills_workers_is_found(bundle, groups, passes):
    bad = groups[1].tasks[0].item.name

    def answer(given):
        for key, group in enumerate(given):
            if bad not in [task.item.name for task in group.tasks]:
                yield key, done(group)

    log = passes(answer)
    records = [r for o in ray_engine.run_ray(bundle, ArchiveOptions(), groups, workers=2) for r in o.records]
    assert sorted(r.item for r in records) == sorted(t.item.name for g in groups for t in g.tasks)
    assert [(r.item, r.error_code) for r in records if r.status == "failed"] == [(bad, "worker-died")]
    pair = [task.item.name for task in groups[1].tasks]
    assert log[1:] == [([pair], 1), ([[name] for name in pair], 1), ([[bad]], 1)]


def test_what_ray_breaks_off_is_tried_again(bundle, groups, passes):
    turns = iter(range(100))

    def answer(given):
        if next(turns) < 2:
            yield 0, done(given[0])
            raise RayError("a node is gone")
        yield from ((key, done(group)) for key, group in enumerate(given))

    log = passes(answer)
    outcomes = list(ray_engine.run_ray(bundle, ArchiveOptions(), groups, workers=2))
    assert sorted(o.number for o in outcomes) == [0, 1, 2]
    assert [len(given) for given, _ in log] == [3, 2, 1]


def test_a_cluster_that_does_nothing_is_given_up(bundle, groups, passes):
    def answer(given):
        yield from ()
        raise RayError("no module named punctum")

    passes(answer)
    with pytest.raises(PunctumError) as caught:
        list(ray_engine.run_ray(bundle, ArchiveOptions(), groups, workers=2))
    assert caught.value.code == "ray-failed"
    assert "no module named punctum" in str(caught.value)


def test_an_actors_word_ends_the_run(bundle, groups, passes):
    passes(lambda given: iter([(0, PunctumError("ray-version", "two versions"))]))
    with pytest.raises(PunctumError) as caught:
        list(ray_engine.run_ray(bundle, ArchiveOptions(), groups, workers=2))
    assert caught.value.code == "ray-version"


def test_what_a_worker_reserves():
    assert _ray_cluster.needs(ArchiveOptions(threads=3)) == {"num_cpus": 3.0}
    assert _ray_cluster.needs(ArchiveOptions(gpus=0.25)) == {"num_gpus": 0.25}
