"""The example programs, built and run: their events are those of the Python session on the same stream."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime import PostProcess
from punctum.runtime.bundle.config import Fusion
from punctum.runtime.events.event import Event
from punctum.runtime.live import LiveOptions
from punctum.runtime.session.plan import Plan
from punctum.runtime.session.session import Session

from tests.native import binding, twin
from tests.native.prefix import ROOT, build, install, run

pytestmark = pytest.mark.slow

LABELS = ("a", "b", 'c "ä"')
POST = PostProcess(right_context_s=0.5, max_island_s=3.0)
CENTER = Fusion(class_probability=1, attention=1, center=1)


@pytest.fixture(scope="module")
def programs(library_path) -> Path:
    return build("punctum_shared", "tracks_to_events", "host_engine") / "examples"


class Stream:
    """Files of a manifest and of tracks, and what Python says of them."""

    def __init__(self, folder: Path, *, post: PostProcess = POST, labels: tuple[str, ...] = LABELS, reach: int = 0):
        self.plan = Plan(labels, len(labels) + 1, 0.1, reach, reach, post, "bundle")
        self.manifest, self.file = folder / "manifest.json", folder / "rows.f32"
        self.manifest.write_text(json.dumps(binding.manifest_of(self.plan)), encoding="utf-8")
        self.rows = twin.rows_of(np.random.default_rng(3), 700, True)
        self.rows.tofile(self.file)

    def said(self, engine=None, *, degraded: bool = False, **options) -> list[Event]:
        session = Session(self.plan, engine or twin.Engine(True), **options)
        session.degraded = degraded
        return session.push(self.rows) + session.flush()


@pytest.fixture
def stream(tmp_path) -> Stream:
    return Stream(tmp_path)


def events_of(text: str) -> list[Event]:
    return [Event.from_json(line) for line in text.splitlines()]


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ((), {}),
        (("--stream", "gate 2", "--start", "7.5"), {"stream": "gate 2", "start_s": 7.5}),
        (("--max-delay", "0.5"), {"live": LiveOptions(max_delay_s=0.5)}),
    ],
)
def test_tracks_to_events(programs, stream, words, options):
    done = run(programs / "tracks_to_events", stream.manifest, stream.file, *words)
    want = stream.said(**options)
    assert len(want) > 1000
    assert binding.difference(events_of(done.stdout), want) == ""


def test_tracks_through_a_pipe_in_pieces(programs, stream):
    command = [programs / "tracks_to_events", stream.manifest, "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        data = stream.rows.tobytes()
        for at in range(0, len(data), 1001):  # never whole rows
            program.stdin.write(data[at : at + 1001])
            program.stdin.flush()
        said = program.communicate()[0].decode()
    assert program.returncode == 0
    assert binding.difference(events_of(said), stream.said()) == ""


def test_degraded_does_without_the_center_scorer(programs, tmp_path):
    stream = Stream(tmp_path, post=POST.model_copy(update={"fusion": CENTER}))
    command = [programs / "tracks_to_events", stream.manifest, stream.file]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "--degraded" in refused.stderr
    said = events_of(run(*command, "--degraded").stdout)
    assert said
    assert all(event.degraded for event in said)
    assert binding.difference(said, stream.said(degraded=True)) == ""


def _cut(stream: Stream) -> None:
    stream.file.write_bytes(stream.rows.tobytes()[:-3])


def _nan(stream: Stream) -> None:
    stream.rows[400, 1] = np.nan
    stream.rows.tofile(stream.file)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_cut, "left over"),
        (_nan, "NaN"),
        (lambda stream: stream.file.unlink(), "No such file"),
        (lambda stream: stream.manifest.unlink(), "No such file"),
        (lambda stream: stream.manifest.write_text("{"), "JSON"),
    ],
)
def test_bad_files_are_refused(programs, stream, spoil, says):
    spoil(stream)
    done = subprocess.run(
        [programs / "tracks_to_events", stream.manifest, stream.file], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 2
    assert says in done.stderr


class StandIn:
    """What `infer` of host_engine.cpp does."""

    requested = actual = "stand-in"

    def locate(self, features):
        return features[:, :3], features[:, :3].max(axis=1)

    def score(self, features, tracks, segments, labels):
        return [np.full(shape, value, np.float32) for shape, value in (((len(labels), 3), 0.9), (len(labels), 0.8))] + [
            np.ones(len(labels), np.float32)
        ]


def test_an_engine_of_the_host(programs, tmp_path):
    stream = Stream(tmp_path, post=POST.model_copy(update={"fusion": CENTER}), reach=3)
    done = run(programs / "host_engine", stream.manifest, stream.file)
    want = stream.said(StandIn())
    assert want
    assert binding.difference(events_of(done.stdout), want) == ""


@pytest.fixture(scope="module")
def gst_launch(library_path, tmp_path_factory):
    """Build the element against an installed library, as another project would; returns how to run a pipeline."""
    for program in ("gst-launch-1.0", "pkg-config", "cc"):
        if not shutil.which(program):
            pytest.skip(f"no {program}")
    folder = tmp_path_factory.mktemp("gstreamer")
    prefix = install(folder / "prefix")
    lib = next(prefix.rglob("libpunctum.so")).parent
    environment = {**os.environ, "PKG_CONFIG_PATH": str(lib / "pkgconfig"), "GST_REGISTRY": str(folder / "registry")}
    environment |= {"GST_PLUGIN_PATH": str(folder), "LC_ALL": "C"}
    modules = ["gstreamer-base-1.0", "punctum"]
    if subprocess.run(["pkg-config", "--exists", *modules], env=environment).returncode:
        pytest.skip("no development files of GStreamer (libgstreamer1.0-dev)")
    flags = shlex.split(run("pkg-config", "--cflags", "--libs", *modules, env=environment).stdout)
    source = ROOT / "kernels" / "native" / "examples" / "gstpunctum.c"
    run("cc", "-shared", "-fPIC", "-Wall", "-Werror", source, "-o", folder / "libgstpunctum.so", *flags,
        f"-Wl,-rpath,{lib}", env=environment)  # fmt: skip

    def launch(*pipeline: str) -> subprocess.CompletedProcess[str]:
        command = ["gst-launch-1.0", "-m", *pipeline]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    launch.environment = environment
    return launch


def event_of(message: str) -> Event:
    """An event from what `gst-launch-1.0 -m` prints."""
    fields = {}
    for name, kind, quoted, plain in re.findall(r'([\w-]+)=\((\w+)\)(?:"((?:\\.|[^"\\])*)"|([^,;]*))', message):
        text = re.sub(r"\\(.)", r"\1", quoted) if quoted else plain
        convert = {"string": str, "double": float, "gint64": int, "boolean": lambda word: word == "true"}[kind]
        fields[{"event": "id", "delay": "delay_s", "emitted-at": "emitted_at"}.get(name, name)] = convert(text)
    return Event(**fields)


@pytest.mark.parametrize(("words", "live"), [((), None), (("max-delay=0.5",), LiveOptions(max_delay_s=0.5))])
def test_a_pipeline_posts_events(gst_launch, tmp_path, words, live):
    stream = Stream(tmp_path, labels=("a", "b", "c d"))
    done = gst_launch(
        *f"filesrc location={stream.file} blocksize=999 ! application/x-punctum-tracks,columns=4 !".split(),
        *f"punctum manifest={stream.manifest} stream=cam".split(), *words, "!", "fakesink",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    said = [event_of(line) for line in done.stdout.splitlines() if "punctum-event" in line]
    want = stream.said(stream="cam", live=live)
    assert len(want) > 1000
    assert binding.difference(said, want) == ""


# Run by the system's Python, which has GStreamer's bindings: rows with times, 300 and then, after a break, the rest.
TIMED = """
import sys, gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst
Gst.init(None)
manifest, rows = sys.argv[1:]
pipeline = Gst.parse_launch(
    "appsrc name=source format=time caps=application/x-punctum-tracks,columns=4 ! "
    f"punctum manifest={manifest} stream=cam ! fakesink sync=false"
)
source = pipeline.get_by_name("source")
pipeline.set_state(Gst.State.PLAYING)
data = open(rows, "rb").read()
for at in range(0, len(data), 160):
    buffer = Gst.Buffer.new_wrapped(data[at : at + 160])
    buffer.pts = at // 16 * Gst.SECOND // 10 + (0 if at < 4800 else 2 * Gst.SECOND)
    source.emit("push-buffer", buffer)
source.emit("end-of-stream")
while True:
    message = pipeline.get_bus().timed_pop_filtered(30 * Gst.SECOND, Gst.MessageType.ANY)
    if message is None or message.type == Gst.MessageType.ERROR:
        sys.exit(f"failed: {message and message.parse_error()}")
    if message.type == Gst.MessageType.EOS:
        break
    if message.type == Gst.MessageType.ELEMENT:
        print(message.get_structure().to_string())
pipeline.set_state(Gst.State.NULL)
"""


def test_a_break_in_a_timed_stream(gst_launch, tmp_path):
    python = Path("/usr/bin/python3")
    if not python.exists() or subprocess.run([python, "-c", "import gi"], capture_output=True).returncode:
        pytest.skip("no python3-gi")
    stream = Stream(tmp_path, labels=("a", "b", "c d"))
    done = run(python, "-c", TIMED, stream.manifest, stream.file, env=gst_launch.environment)
    session = Session(stream.plan, twin.Engine(True), stream="cam")
    want = session.push(stream.rows[:300]) + session.push(stream.rows[300:], at=32.0) + session.flush()
    assert session.stats.gaps == 1
    assert any(event.interrupted for event in want)
    said = [event_of(line) for line in done.stdout.splitlines() if "punctum-event" in line]
    assert binding.difference(said, want) == ""


def test_rows_pass_the_element_unchanged(gst_launch, stream, tmp_path):
    target = tmp_path / "copy.f32"
    done = gst_launch(
        *f"filesrc location={stream.file} ! application/x-punctum-tracks,columns=4 !".split(),
        *f"punctum manifest={stream.manifest} ! filesink location={target}".split(),
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert target.read_bytes() == stream.file.read_bytes()


@pytest.mark.parametrize(
    ("columns", "fusion", "spoil", "says"),
    [
        (5, Fusion(), None, "has 5 columns, the bundle 4"),
        (4, CENTER, None, "degraded=true"),
        (4, Fusion(), _nan, "NaN"),
        (4, Fusion(), lambda stream: stream.manifest.unlink(), "No such file"),
        (4, Fusion(), lambda stream: stream.manifest.write_text("{"), "JSON"),
    ],
)
def test_a_pipeline_ends_with_the_reason(gst_launch, tmp_path, columns, fusion, spoil, says):
    stream = Stream(tmp_path, post=POST.model_copy(update={"fusion": fusion}))
    if spoil:
        spoil(stream)
    command = f"gst-launch-1.0 fdsrc ! application/x-punctum-tracks,columns={columns} ! punctum".split()
    command += [f"manifest={stream.manifest}", "!", "fakesink"]
    with (
        subprocess.Popen(
            command, env=gst_launch.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process,
        stream.file.open("rb") as rows,
    ):
        told = b""
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        for line in process.stdout:
            told += line
            if b"PREROLLING" in line:
                # gst-launch 1.22 waits for ever if the error comes before its main loop runs, which is after this word.
                time.sleep(0.5)
                with contextlib.suppress(BrokenPipeError), process.stdin:
                    process.stdin.write(rows.read())
        watchdog.cancel()
    status = process.returncode
    assert status != 0
    assert says in told.decode()
