"""Paths of a configuration that lead to pipes, devices, sockets and folders: refused at once, with the reason."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("yaml", reason="a configuration needs PyYAML")

from punctum.runtime.errors import InputError
from punctum.runtime.files.regular import read_regular, special_kind
from punctum.runtime.site.config.check import check_site
from punctum.runtime.site.config.load import load_site

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
DEMO = Path(__file__).parents[3] / "runtime" / "assets" / "demo"
TLS = 'sinks: {{f: {{type: webhook, url: "https://h/x", tls: {{{}}}}}}}'
FIELDS = {
    "source": "",
    "bundle": "",
    "state": "state: PATH",
    "token": "http: {tokens: {read: {file: PATH}}}",
    "secret": 'sinks: {f: {type: webhook, url: "https://h/x", secret: {file: PATH}}}',
    "jsonl": "sinks: {f: {type: jsonl, path: PATH}}",
    "parquet": "sinks: {f: {type: parquet, folder: PATH}}",
    "ca": TLS.format("ca: PATH"),
    "certificate": TLS.format("certificate: PATH, key: PATH"),
    "socket": "",
}
KINDS = {"pipe": "a named pipe", "device": "a device", "socket": "a socket", "folder": "folder", "file": "file"}
FINE = {
    ("jsonl", "device"),  # /dev/null, /dev/stdout
    ("socket", "socket"),  # left by an earlier process
    *((name, "folder") for name in ("source", "state", "parquet")),
    *((name, "file") for name in ("source", "token", "secret", "jsonl", "ca", "certificate")),
}


@pytest.fixture
def places(tmp_path: Path) -> Iterator[dict[str, Path]]:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        yield {kind: tmp_path / kind for kind in KINDS} | {"device": Path("/dev/zero")}


def site_with(field: str, path: Path, folder: Path) -> Path:
    source = {"source": str(path), "socket": f"unix://{path}"}.get(field, "unix:///nowhere/at/all")
    text = FIELDS[field].replace("PATH", str(path))
    bundle = path if field == "bundle" else DEMO
    file = folder / "site.yaml"
    file.write_text(
        f"{text}\nbundles: {{demo: {{path: {bundle}}}}}\ncameras: {{hall: {{source: {source}, bundles: [demo]}}}}\n"
    )
    return file


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("field", FIELDS)
def test_what_is_no_file_is_refused(tmp_path, places, field, kind):
    file = site_with(field, places[kind], tmp_path)
    if (field, kind) in FINE:
        check_site(load_site(file))
        return
    with pytest.raises(InputError) as caught:
        check_site(load_site(file))
    assert str(places[kind]) in str(caught.value) or KINDS[kind] in str(caught.value)


@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "folder"])
def test_the_configuration_itself(places, kind):
    with pytest.raises(InputError) as caught:
        load_site(places[kind])
    assert caught.value.code == "site-yaml"


def test_a_folder_below_a_file(tmp_path, places):
    file = site_with("state", places["file"] / "state", tmp_path)
    with pytest.raises(InputError, match="is a file"):
        load_site(file)


def test_a_camera_device_without_its_scheme(tmp_path, places):
    (tmp_path / "video0").symlink_to("/dev/null")
    with pytest.raises(InputError, match="write camera:"):
        load_site(site_with("source", tmp_path / "video0", tmp_path))


def test_standard_output_is_a_file_of_events(tmp_path, places):
    load_site(site_with("jsonl", Path("/dev/stdout"), tmp_path))


def test_regular_files_alone_are_read(tmp_path, places):
    assert read_regular(places["file"], 10) == b"x"
    assert special_kind(places["file"]) == special_kind(places["folder"]) == special_kind(tmp_path / "no") == ""
    for kind in ("pipe", "device", "socket"):
        with pytest.raises(OSError, match="it is a"):
            read_regular(places[kind], 10)


@pytest.mark.slow
@pytest.mark.parametrize("field", ["yaml", "source", "token"])
def test_the_command_refuses_a_pipe_at_once(tmp_path, places, field):
    for library in ("fastapi", "uvicorn", "urllib3", "prometheus_client"):
        pytest.importorskip(library, reason=f"punctum serve needs {library}")
    file = places["pipe"] if field == "yaml" else site_with(field, places["pipe"], tmp_path)
    command = [sys.executable, "-c", "from punctum.runtime.cli import main; main()", "serve", str(file), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "a named pipe" in done.stderr
    assert "Traceback" not in done.stderr
