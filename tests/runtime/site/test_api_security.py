"""Who may do what: tokens and roles, the page's cookie, foreign hosts and sites, hostile requests."""

from __future__ import annotations

import json
import socket
import time

import pytest

pytest.importorskip("fastapi", reason="the API needs fastapi (extra serve)")
import contextlib

from punctum.runtime.errors import InputError
from punctum.runtime.site.api.app import create_app
from punctum.runtime.site.api.http import serve_http
from punctum.runtime.site.api.roles import Attempts, Roles, cookies
from punctum.runtime.site.api.settings import ApiSettings

from tests.helpers import site_client
from tests.helpers.site_client import OPERATE, READ
from tests.helpers.site_view import event

TOKENS = {"read_token": READ, "operate_token": OPERATE}
JSON = {"Content-Type": "application/json"}
READS = (
    "site",
    "cameras",
    "cameras/gate",
    "cameras/gate/picture",
    "cameras/gate/tracks",
    "bundles",
    "sinks",
    "events",
    "gaps",
    "events/wait?after=0&seconds=0",
    "/metrics",
)
CHANGES = (
    ("POST", "cameras/gate/restart"),
    ("POST", "cameras/gate/enable"),
    ("POST", "cameras/gate/disable"),
    ("DELETE", "cameras/gate"),
    ("PUT", "cameras/gate"),
    ("PUT", "bundles/doors"),
    ("POST", "site/reload"),
    ("POST", "events/gate/Z2F0ZQ/review"),
    ("DELETE", "events/gate/Z2F0ZQ/review"),
)


def test_roles(sites):
    site = sites(**TOKENS)
    for path in READS:
        refused = site.ask(path)
        assert refused.status == 401 and refused.headers["WWW-Authenticate"].startswith("Bearer"), path
        assert site.ask(path, token=READ).status in (200, 204), path
        assert site.ask(path, token=OPERATE).status in (200, 204), path
    for method, path in CHANGES:
        assert site.ask(path, method).status == 401, path
        refused = site.ask(path, method, token=READ)
        assert refused.status == 403 and refused.json()["code"] == "site-api-role", path
    assert site.view.views.keys() == {"gate", "yard"} and site.view.reloads == 0
    assert site.ask("cameras/gate/restart", "POST", token=OPERATE).status == 200
    refused = site_client.Stream(site)
    assert refused.status == 401
    refused.close()
    stream = site_client.Stream(site, token=READ)
    assert stream.status == 200
    stream.close()


def test_what_needs_no_token_tells_nothing(sites):
    site = sites(**TOKENS)
    site.view.report(event("gate", 1, at=1_790_000_000.0))
    for path in ("/", "/page/main.js", "/page/theme.css", "/healthz", "/readyz", "session", "openapi.json"):
        answer = site.ask(path)
        assert answer.status == 200 and b"gate" not in answer.data, path
    assert site.get("session") == {"role": None, "tokens": True}


@pytest.mark.parametrize(
    "path",
    [
        "/page/../api/v1/site",
        "/page/%2e%2e/api/v1/site",
        "//api/v1/site",
        "/API/v1/site",
        "/api/v1/site/",
        "/api/v1//site",
        "/api/v1/session/../site",
    ],
)
def test_no_path_goes_round_the_tokens(sites, path):
    site = sites(**TOKENS)
    site_client_answer = raw(site, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    assert site_client_answer.startswith((b"HTTP/1.1 401", b"HTTP/1.1 404")) and b"warehouse" not in site_client_answer


def test_the_cookie_of_the_page(sites):
    site = sites(**TOKENS)
    origin = {"Origin": site.served.url[:-1]}
    answer = site.ask("session", "POST", body=json.dumps({"token": OPERATE}), headers={**JSON, **origin})
    given = answer.headers["Set-Cookie"]
    assert answer.json() == {"role": "operate", "tokens": True}
    assert "HttpOnly" in given and "SameSite=strict" in given and "Secure" not in given and OPERATE not in given
    assert "Path" not in given, "so that it is for the prefix of a proxy"
    cookie = {"Cookie": given.partition(";")[0]}
    assert site.ask("cameras", headers=cookie).status == 200
    assert site.ask("cameras/gate/restart", "POST", headers=cookie).status == 401, "a change needs the origin"
    assert site.ask("cameras/gate/restart", "POST", headers={**cookie, **origin}).status == 200
    assert site.ask("cameras/gate/restart", "POST", headers={**cookie, "Sec-Fetch-Site": "same-origin"}).status == 200
    other = {**cookie, "Origin": "https://evil.example"}
    assert site.ask("cameras/gate/restart", "POST", headers=other).status == 403
    assert site.ask("session", "DELETE", headers=origin).status == 204
    secure = site.ask(
        "session",
        "POST",
        body=json.dumps({"token": READ}),
        headers={**JSON, "Origin": f"https://127.0.0.1:{site.served.port}"},
    )
    assert "Secure" in secure.headers["Set-Cookie"]


def test_cookies_end_with_their_token_and_their_time(tmp_path):
    now = [1000.0]
    roles = Roles(ApiSettings(tmp_path, **TOKENS), lambda: now[0])
    cookie = roles.cookie("read")
    assert roles.of_cookie(cookie) == "read"
    _name, end, signature = cookie.split(".")
    forged = [
        f"operate.{end}.{signature}",
        f"read.{int(end) + 1}.{signature}",
        f"read.{end}.{'0' * 64}",
        f"read.{end}.",
        "read",
        "",
        "..",
        f"admin.{end}.{signature}",
        f"read.{'9' * 40}.{signature}",
        f"read.٣.{signature}",
        f"read.{end}.é\ud800",
    ]
    assert [roles.of_cookie(value) for value in forged] == [None] * len(forged)
    now[0] = float(end) + 1
    assert roles.of_cookie(cookie) is None
    other = Roles(ApiSettings(tmp_path, read_token="another-token-0123456789"), lambda: 1000.0)
    assert other.of_cookie(cookie) is None
    assert cookies(["a=b; punctum_site=x.y; c", "punctum_site=z"]) == ["x.y", "z"]


def test_guessing_is_slow(sites):
    site = sites(**TOKENS)
    statuses = [site.ask("site", token=f"guess-{k}-0123456789").status for k in range(14)]
    assert statuses[:10] == [401] * 10 and statuses[10:] == [429] * 4
    limited = site.ask("session", "POST", body=json.dumps({"token": "guess-99-0123456789"}), headers=JSON)
    assert limited.status == 429 and int(limited.headers["Retry-After"]) >= 1
    assert site.ask("/healthz").status == 200


def test_guesses_lock_nobody_out_who_has_a_token(sites):
    """Behind a proxy, all clients have the same address."""
    site = sites(**TOKENS)
    for k in range(30):
        site.ask("site", token=f"guess-{k}-0123456789")
    assert site.ask("site", token="guess-31-0123456789").status == 429
    assert site.ask("site", token=READ).status == 200
    assert site.ask("cameras/gate/restart", "POST", token=OPERATE).status == 200
    login = site.ask("session", "POST", body=json.dumps({"token": OPERATE}), headers=JSON)
    assert login.status == 200 and login.json()["role"] == "operate"
    assert site.ask("site", token="guess-32-0123456789").status == 429, "a right token does not reset the limit"


def test_attempts_come_back_and_are_bounded():
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for _ in range(10):
        assert attempts.wait_s("10.0.0.1") == 0
        attempts.failed("10.0.0.1")
    assert 0 < attempts.wait_s("10.0.0.1") <= 6 and attempts.wait_s("10.0.0.2") == 0
    now[0] = 6.5
    assert attempts.wait_s("10.0.0.1") == 0
    for k in range(10):
        attempts.failed(f"2001:db8:1:2::{k:x}")
    assert attempts.wait_s("2001:db8:1:2::ffff") > 0, "a network of IPv6 counts as one"
    for k in range(6000):
        attempts.failed(f"10.1.{k // 250}.{k % 250}")
    assert len(attempts._left) <= 4096


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8700",
        "127.0.0.1.evil.example",
        "",
        "localhost.evil.example",
        "0.0.0.0",
        "10.0.0.1",
        "127.0.0.1@evil.example",
        "[::1",
        "127.0.0.1:x",
    ],
)
def test_other_hosts_are_refused_without_tokens(sites, host):
    site = sites()
    answer = raw(site, f"GET /api/v1/site HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith((b"HTTP/1.1 421", b"HTTP/1.1 400")), answer[:100]


def test_hosts_of_proxies_and_addresses(sites):
    open_site, closed = sites(hosts=("cameras.example", "other.example:8443")), sites(**TOKENS)
    for host in ("cameras.example", "Cameras.Example:443", "other.example:8443", "localhost", "[::1]:9"):
        assert open_site.ask("site", headers={"Host": host}).status == 200, host
    assert open_site.ask("site", headers={"Host": "other.example"}).status == 421
    through_proxy = {"Host": "127.0.0.1", "Origin": "https://cameras.example"}
    assert open_site.ask("site/reload", "POST", headers=through_proxy).status == 204
    for host, status in (("10.1.2.3:8700", 200), ("[fd00::1]", 200), ("evil.example", 421)):
        assert closed.ask("site", headers={"Host": host}, token=READ).status == status, host
    both = raw(open_site, b"GET /api/v1/site HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\nConnection: close\r\n\r\n")
    assert both.startswith((b"HTTP/1.1 400", b"HTTP/1.1 421"))


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost"},
        {"Origin": ""},
    ],
)
def test_requests_of_other_sites_are_refused(sites, headers):
    site = sites()
    assert site.ask("site/reload", "POST", headers=headers).status == 403
    assert site.ask("site", headers=headers).status == 403
    assert site.view.reloads == 0
    opened = site.ask("/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})
    assert opened.status == 200, "a link of another site may lead here"


def test_headers_of_restriction(sites):
    site = sites()
    for path in ("/", "site", "nowhere", "/page/main.js", "cameras/x"):
        headers = site.ask(path).headers
        assert (
            "default-src 'none'" in headers["Content-Security-Policy"]
            and "unsafe" not in headers["Content-Security-Policy"]
        )
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY"
        assert "Server" not in headers and "Access-Control-Allow-Origin" not in headers


def test_secrets_are_never_shown(sites):
    site = sites(**TOKENS)
    site.view.add_camera("gate", "lost", why="rtsp://user:secret@10.0.0.1/gate did not answer")
    for path in READS:
        folder = str(site.view.store.folder).encode()  # pytest names it after this test
        data = site.ask(path, token=OPERATE).data.replace(folder, b"")
        assert b"secret" not in data and READ.encode() not in data and OPERATE.encode() not in data, path


def raw(site: site_client.Site, data: bytes, *, seconds: float = 5.0) -> bytes:
    """What the server answers to bytes."""
    with socket.create_connection((site.served.host, site.served.port), timeout=seconds) as sock:
        found = b""
        try:
            sock.sendall(data)
            while more := sock.recv(65536):
                found += more
        except (TimeoutError, ConnectionError):
            pass
        return found


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"POST /api/v1/site/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /api/v1/site/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/site/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /api/v1/cameras/%ff%fe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /page/..%2f..%2fapi%2fview.py HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /page/__init__.py HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT evil:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"TRACE / HTTP/1.1\r\nHost: localhost\r\nCookie: punctum_site=x\r\n\r\n",
        b"GET http://evil/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
)
def test_hostile_bytes(sites, data):
    site = sites()
    answer = raw(site, data.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1), seconds=2.0)
    assert b"root:" not in answer and b"Traceback" not in answer and b"HTTP/1.1 500" not in answer
    assert site.view.reloads <= (b"chunked" in data)
    assert site.get("site")["name"] == "yard", "it still serves"


def test_hostile_names_of_cameras(sites):
    site = sites()
    body = json.dumps({"source": "a.mp4", "bundles": ["doors"]})
    for name in ("..", "a/b", "-x", "é", "x" * 64, "%00", "a b", "<b>", "__proto__", "."):
        answer = site.ask(f"cameras/{name}", "PUT", body=body, headers=JSON)
        assert answer.status in (404, 405, 422), name
    assert site.view.views.keys() == {"gate", "yard"}


@pytest.mark.parametrize("host", ["localhost", "elsewhere"])
def test_a_body_that_is_no_http_leaves_no_trace_in_the_log(sites, caplog, host):
    """Whether the request would be admitted or refused: anybody who reaches the port could fill the log."""
    site = sites()
    head = f"PUT /api/v1/cameras/x HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    answer = raw(site, (head + "Transfer-Encoding: chunked\r\n\r\nzzz\r\n\r\n").encode())
    assert b" 400 " in answer or b" 421 " in answer
    time.sleep(0.2)  # for the server to be done with it
    assert not [record for record in caplog.records if record.exc_info]
    assert b" 200 " in raw(site, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")


def test_a_chunked_body_without_end_is_cut_off(sites):
    site = sites(body_s=0.5)
    with socket.create_connection((site.served.host, site.served.port), timeout=20) as sock:
        head = "PUT /api/v1/cameras/x HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        sock.sendall((head + "Transfer-Encoding: chunked\r\n\r\n").encode())
        begun = time.monotonic()
        assert b" 413 " in sock.recv(1000) and time.monotonic() - begun < 12  # 15 s without body_s
    with socket.create_connection((site.served.host, site.served.port), timeout=5) as sock:
        sock.sendall((head + "Transfer-Encoding: chunked\r\n\r\n").encode())
        try:
            for _ in range(100):
                sock.sendall(b"4000\r\n" + b" " * 0x4000 + b"\r\n")
            found = sock.recv(1000)
        except ConnectionError:
            found = b" 413 "
        assert b" 413 " in found


def test_idle_connections_do_not_keep_others_out(sites):
    """300 connections that never send a request, and one that does."""
    site = sites()
    idle = [socket.create_connection((site.served.host, site.served.port), timeout=5) for _ in range(300)]
    for k, sock in enumerate(idle):
        if k % 2:
            with contextlib.suppress(OSError):
                sock.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
    assert site.get("site")["name"] == "yard"
    for sock in idle:
        sock.close()


def test_slow_headers_are_cut_off(sites, monkeypatch):
    from punctum.runtime.web import connections

    monkeypatch.setattr(connections, "_HEADER_S", 0.5)
    site = sites()
    with socket.create_connection((site.served.host, site.served.port), timeout=20) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
        begun = time.monotonic()
        with contextlib.suppress(ConnectionError):
            assert sock.recv(100) == b""
        assert time.monotonic() - begun < 9


def test_settings_that_are_refused(tmp_path):
    for wrong in (
        {"read_token": "tiny-token"},
        {"read_token": "a token with spaces in it"},
        {"operate_token": "é" * 20},
        {"read_token": "x" * 600},
        {"read_token": READ, "operate_token": READ},
        {"hosts": ("a b",)},
        {"hosts": ("evil/",)},
        {"hosts": ("",)},
    ):
        with pytest.raises(InputError) as caught:
            ApiSettings(tmp_path, **wrong)
        assert caught.value.next_step and all(
            str(v) not in str(caught.value) for v in wrong.values() if isinstance(v, str)
        )


def test_addresses_that_cannot_be_used(sites, tmp_path):
    site = sites()
    app = create_app(site.view, ApiSettings(tmp_path))
    for host, port, code in (
        ("127.0.0.1", site.served.port, "site-http-listen"),
        ("127.0.0.1", 99999, "site-http-listen"),
        ("192.0.2.1", 0, "site-http-open"),
        ("0.0.0.0", 0, "site-http-open"),
        ("no.such.host.invalid", 0, "site-http-open"),
        ("::", 0, "site-http-open"),
    ):
        with pytest.raises(InputError) as caught:
            serve_http(app, host, port)
        assert caught.value.code == code
    closed = create_app(site.view, ApiSettings(tmp_path, **TOKENS))
    with pytest.raises(InputError, match="cannot be used"):
        serve_http(closed, "192.0.2.1", 0)
    served = serve_http(closed, "0.0.0.0", 0)
    served.close()
    served.close()
    assert not served.running
