"""The receiver of the documentation accepts what a webhook sends, and nothing else."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from punctum.runtime.site.config.models import Secret, WebhookSink
from punctum.runtime.site.delivery.make import make_sink
from punctum.runtime.site.delivery.webhook import signature

from tests.helpers.site import Receiver, batch

pytest.importorskip("urllib3", reason="webhooks need urllib3")
PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "serve-outputs.md"
SECRET = b"a secret of the webhook"


@pytest.fixture
def is_genuine() -> Callable[..., bool]:
    names: dict[str, Any] = {}
    exec(re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)[1], names)  # type: ignore[index]
    found: Callable[..., bool] = names["is_genuine"]
    return found


def test_requests_of_a_sink(tmp_path, is_genuine):
    (tmp_path / "key").write_bytes(SECRET + b"\n")
    receiver = Receiver()
    try:
        url = f"http://127.0.0.1:{receiver.port}/in"
        sink = make_sink("out", WebhookSink(type="webhook", url=url, secret=Secret(file="key")), tmp_path)
        assert sink.deliver(batch(0, 3)).delivered == [0, 1, 2]
        sink.close()
        for headers, body in receiver.requests:
            given = headers["Punctum-Signature"]
            assert is_genuine(SECRET, given, body)
            assert not is_genuine(b"another", given, body) and not is_genuine(SECRET, given, body + b" ")
    finally:
        receiver.close()


def test_other_headers(is_genuine):
    body, now = b"{}", int(time.time())
    good = signature(SECRET, now, body)
    assert is_genuine(SECRET, good, body)
    old = signature(SECRET, now - 1000, body)
    moved = good.replace(f"t={now}", f"t={now + 1}")
    for header in (
        "",
        "t=",
        "v1=",
        "t=x,v1=y",
        good[:-1],
        good.upper(),
        old,
        moved,
        f"t={now}",
        "t=²,v1=x",
        "t=1,v1=é",
    ):
        assert not is_genuine(SECRET, header, body), header


def test_errors_say_what_is_wrong_in_words(tmp_path):
    """No names of classes of the library."""
    receiver = Receiver()
    closed = receiver.port
    receiver.close()
    for url in (f"http://127.0.0.1:{closed}/in", "http://no-such-host.invalid/in"):
        sink = make_sink("out", WebhookSink(type="webhook", url=url, timeout_s=2.0), tmp_path)
        why = sink.deliver(batch(0, 1)).error
        sink.close()
        assert why.startswith(f"{url} cannot be reached (") and "host=" not in why and "Errno" not in why, why
