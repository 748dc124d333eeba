"""Where video over HTTP may lead: redirects, playlists, proxies, names; credentials go nowhere else."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("av", reason="PyAV is not installed")

from punctum.runtime.errors import InputError
from punctum.runtime.video import VideoOptions
from punctum.runtime.video._guard import Guard, Refused
from punctum.runtime.video._http import HttpSource

from tests.helpers import http_servers, video_corpus, video_peers

corpus, peers, servers = video_corpus, video_peers, http_servers
Handler, Server = servers.Handler, servers.Server
FPS, OFFLINE = servers.FPS, servers.OFFLINE
folder, server, read, told = servers.folder, servers.server, servers.read, servers.told


def test_credentials_stay_with_the_host_they_were_given_for(server: Server, folder: Path) -> None:
    other = Server(folder, "127.0.0.2")
    try:
        server.leads_to = other.url("basic/a.ts")
        with pytest.raises(InputError) as caught:
            read(
                server.url("redirect/x", "viewer:hunter2%40%2F%3Ax@"),
                VideoOptions(reconnect_s=0.0, allow_hosts=("127.0.0.2",)),
            )
        assert caught.value.code == "video-login"
        assert len(other.asked) == 1
    finally:
        other.stop()


@pytest.mark.parametrize("way", ["redirect/x", "playlist/x.m3u8"])
def test_redirects_and_playlists_do_not_reach_other_private_hosts(server: Server, folder: Path, way: str) -> None:
    for host in ("127.0.0.1", "127.0.0.2"):
        other = Server(folder, host)
        try:
            server.leads_to = other.url("length/a.ts?token=hunter2secret")
            with pytest.raises(InputError) as caught:
                read(server.url(way))
            assert caught.value.code == "video-redirect"
            assert caught.value.exit_code == 2
            assert "`allow_hosts`" in caught.value.next_step
            assert "hunter2" not in str(caught.value)
            assert other.asked == []
            for allowed in (host, "127.0.0.0/8"):
                items, error = read(server.url(way), VideoOptions(reconnect_s=0.0, allow_hosts=(allowed,)))
                assert error is None
                assert len(told(items)) == 20
            assert other.asked
        finally:
            other.stop()


def test_a_playlist_s_key_does_not_reach_other_private_hosts(server: Server, folder: Path) -> None:
    other = Server(folder, "127.0.0.2")
    try:
        server.leads_to = other.url("length/a.ts")
        with pytest.raises(InputError):
            read(server.url("key/x.m3u8"))
        assert other.asked == []
    finally:
        other.stop()


@pytest.mark.parametrize("way", ["redirect/x", "playlist/x.m3u8", "key/x.m3u8"])
@pytest.mark.parametrize(
    "target",
    [
        "file://{folder}/a.ts",
        "file:{folder}/a.ts",
        "gopher://127.0.0.1:{port}/x",
        "ftp://127.0.0.1:{port}/x",
        "concat:{folder}/a.ts|{folder}/b.ts",
        "subfile,,start,0,end,0,,:{folder}/a.ts",
        "tcp://127.0.0.1:{port}",
        "crypto+file://{folder}/a.ts",
        "pipe:0",
    ],
)
def test_other_protocols_are_refused(server: Server, way: str, target: str) -> None:
    server.leads_to = target.format(folder=server.folder, port=server.server_address[1])
    with pytest.raises(InputError) as caught:
        items, error = read(server.url(way))
        assert items == []
        raise error or AssertionError
    # Where FFmpeg takes it for a path, it is one of the server's.
    assert caught.value.code in ("video-unreadable", "video-missing", "video-encrypted", "video-connection")


def test_the_same_host_may_lead_to_itself(server: Server) -> None:
    for way in ("redirect/x", "playlist/x.m3u8"):
        for target in ("/length/a.ts", server.url("length/a.ts")):
            server.leads_to = target
            items, error = read(server.url(way))
            assert error is None
            assert len(told(items)) == 20


def test_redirects_without_end_are_refused(server: Server) -> None:
    server.leads_to = "/redirect/x"
    with pytest.raises(InputError, match="redirects"):
        read(server.url("redirect/x"))
    assert len(server.asked) < 10


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile {folder}/a.ts\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 40000 RTP/AVP 26\n",
    ],
)
def test_forms_that_open_other_files_are_refused(server: Server, text: str) -> None:
    server.leads_to = text.format(folder=server.folder)
    with pytest.raises(InputError) as caught:
        read(server.url("text/x.mp4"))
    assert caught.value.code == "video-unreadable"


def test_dash_is_named(server: Server) -> None:
    with pytest.raises(InputError) as caught:
        read(server.url("dash/x.mpd"))
    assert caught.value.code == "video-format"
    assert "HLS" in caught.value.allowed


PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "127.0.0.2",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "[::1]",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "[::ffff:10.0.0.1]",
    "[64:ff9b::a00:1]",
    "[2002:a00:1::1]",
    "2130706434",
    "0x7f000002",
    "localhost",
]


@pytest.mark.parametrize("host", PRIVATE)
def test_private_addresses_in_any_spelling(host: str) -> None:
    guard = Guard("http://203.0.114.7/live")
    with pytest.raises((Refused, OSError)):
        guard.resolve(f"http://{host}/x")
    with contextlib.suppress(OSError):  # what this machine's resolver does not know
        allowed = Guard("http://203.0.114.7/live", [host])
        assert allowed.resolve(f"http://{host}/x").addresses or True


def test_public_addresses_and_the_given_host_are_allowed() -> None:
    guard = Guard("http://10.1.2.3:8080/live")
    assert guard.resolve("http://10.1.2.3:8080/other").addresses == ("10.1.2.3",)
    assert guard.resolve("https://10.1.2.3/other").port == 443
    assert guard.resolve("http://8.8.8.8/x").addresses == ("8.8.8.8",)
    for wrong in ("a b", "http://x/", "", "10.0.0.0/99"):
        with pytest.raises(InputError):
            Guard("http://host/", [wrong])


def test_a_name_is_asked_once_for_the_check_and_the_connection(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that answers with a public address first and a private one then gets no connection."""
    answers = iter(["93.184.216.34", "127.0.0.1", "127.0.0.1"])
    real, dialled = socket.getaddrinfo, []

    def lookup(host: str, port: int, *rest: Any, **more: Any) -> Any:
        return real(next(answers) if host == "rebind.example" else host, port, *rest, **more)

    def dial(address: tuple[str, int], timeout: float) -> socket.socket:
        dialled.append(address[0])
        raise ConnectionRefusedError(111, "refused")

    source = HttpSource("http://198.51.100.1/live", limits=(1.0, 1.0))
    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setattr(socket, "create_connection", dial)
    with pytest.raises(ConnectionRefusedError):
        source.request("http://rebind.example/x", None)
    assert dialled == ["93.184.216.34"]


def test_a_proxy_is_used_and_does_not_open_private_hosts(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that only the proxy can resolve pass; private addresses do not."""
    asked: list[str] = []
    data = (folder / "a.ts").read_bytes()

    def proxy(connection: socket.socket) -> None:
        line = connection.recv(4096).split(b"\r\n")[0].decode()
        asked.append(line.split()[1])
        if "redirect" in line:
            connection.sendall(b"HTTP/1.0 302 Found\r\nLocation: http://10.0.0.1/x\r\n\r\n")
        else:
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data))
        connection.close()

    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with peers.talker(proxy) as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        items, error = read("http://camera.invalid/a.ts")
        assert error is None
        assert len(told(items)) == 20
        with pytest.raises(InputError) as caught:
            read("http://camera.invalid/redirect")
        assert caught.value.code == "video-redirect"
    assert asked == ["http://camera.invalid/a.ts", "http://camera.invalid/redirect"]
