"""Random requests that the OpenAPI document allows, nearly allows, or does not allow: answered, and none with 500."""

from __future__ import annotations

import http.client
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

for library in ("yaml", "fastapi", "uvicorn", "urllib3", "prometheus_client", "onnxruntime"):
    pytest.importorskip(library, reason=f"punctum serve needs {library}")

from tests.helpers.sites import Site  # noqa: E402

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
DEMO = ROOT / "runtime" / "assets" / "demo"
DOCUMENT = json.loads((ROOT / "docs" / "reference" / "site-openapi.json").read_text())
TEXTS = (
    "",
    "hall",
    "demo",
    "nofile.npy",
    "unix:///nowhere/x",
    "-",
    "\0",
    "\ud800",
    "é" * 300,
    "../..",
    "rtsp://",
    "a" * 5000,
)
NUMBERS = (0, 1, -1, 0.5, 1e308, -1e308, 1 << 70, 1e-320, 8)
ODD = (None, True, [], {}, [[]], [None], {"": {}}, "x", 5, [{"days": 5}], {"env": "HOME", "file": "/etc/passwd"})
REQUESTS = 500


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    camera = {"source": "unix://hall", "bundles": ["demo"], "enabled": False}
    site = Site(tmp_path, {"bundles": {"demo": {"path": str(DEMO)}}, "cameras": {"hall": camera}})
    site.start()
    yield site
    site.close()


def value(schema: dict[str, Any], dice: random.Random, depth: int = 0) -> Any:
    """A value for a schema, and sometimes another one."""
    if dice.random() < 0.06 or depth > 6:
        return dice.choice((*ODD, *TEXTS, *NUMBERS))
    if "$ref" in schema:
        return value(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]], dice, depth + 1)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return value(dice.choice(schema[several]), dice, depth + 1)
    if "enum" in schema:
        return dice.choice(schema["enum"])
    kind = schema.get("type")
    if kind == "object":
        fields, needed = schema.get("properties", {}), schema.get("required", ())
        made = {
            name: value(one, dice, depth + 1)
            for name, one in fields.items()
            if (name in needed and dice.random() < 0.95) or dice.random() < 0.25
        }
        if dice.random() < 0.05:
            made[dice.choice(TEXTS)] = dice.choice(ODD)
        return made
    if kind == "array":
        return [value(schema.get("items", {}), dice, depth + 1) for _ in range(dice.randrange(4))]
    if kind in ("number", "integer"):
        return dice.choice((*NUMBERS, dice.randrange(100), dice.random()))
    if kind == "boolean":
        return dice.random() < 0.5
    return dice.choice(TEXTS)


def operations() -> list[tuple[str, str, dict[str, Any] | None]]:
    """Method, path and schema of the body of everything that changes something, but a new start of the service."""
    found = []
    for path, methods in DOCUMENT["paths"].items():
        for method, facts in methods.items():
            if method in ("put", "post", "patch", "delete"):
                content = facts.get("requestBody", {}).get("content", {})
                found.append((method.upper(), path, content.get("application/json", {}).get("schema")))
    return found


def request(site: Site, method: str, path: str, body: bytes) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
    try:
        headers = {"Origin": f"http://127.0.0.1:{site.port}", "Content-Type": "application/json"}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def test_random_requests_are_answered(site):
    dice, known = random.Random(6), operations()
    assert {"PUT", "POST", "DELETE"} <= {method for method, _, _ in known}
    statuses = set()
    for _ in range(REQUESTS):
        method, path, schema = dice.choice(known)
        while "{" in path:
            start, _, rest = path.partition("{")
            name = dice.choice(("hall", "demo", "new", *TEXTS[1:]))
            path = start + quote(name.encode("utf-8", "surrogatepass"), safe="") + rest.partition("}")[2]
        body = b"" if schema is None else json.dumps(value(schema, dice)).encode()
        if dice.random() < 0.1:
            body = body[: dice.randrange(len(body) + 1)] + dice.randbytes(3)
        status = request(site, method, path if path.startswith("/") else f"/{path}", body)
        assert status < 500 or status == 503, (method, path, body)
        statuses.add(status)
    assert {200, 404, 422} <= statuses
    assert "Traceback" not in site.text()
    site.until(lambda: bool(site.get("/cameras")), 60)
    assert site.stop() == 0
