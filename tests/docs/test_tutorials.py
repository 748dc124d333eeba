"""Tutorials: commands and Python code run as they are printed there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from docs_blocks import name, run_page, runnable


@pytest.mark.documentation
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", runnable("tutorials"), ids=name)
def test_page(page, materials, tmp_path):
    run_page(page, materials.put, tmp_path / "scratch")
