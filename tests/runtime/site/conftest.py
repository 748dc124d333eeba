"""Sites behind a real server on the loopback interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Starts sites, and stops them at the end."""
    pytest.importorskip("fastapi", reason="the API needs fastapi (extra serve)")
    pytest.importorskip("uvicorn", reason="the API needs uvicorn (extra serve)")
    from tests.helpers import site_client

    started: list[site_client.Site] = []

    def start(**settings: Any) -> site_client.Site:
        site = site_client.start(tmp_path / str(len(started)), **settings)
        started.append(site)
        return site

    yield start
    for site in started:
        site.stop()
