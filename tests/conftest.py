"""Fixtures shared by all tests. Real data and most golden vectors live outside the repository."""

from __future__ import annotations

import functools
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Shared machines stall at times, and a kernel's first call compiles: a deadline an example would test the machine.
settings.register_profile("punctum", deadline=None)
settings.load_profile("punctum")
# Tests that import ONNX Runtime by themselves send no telemetry either.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# A shell ignores SIGINT in what it starts in the background, and so would all processes that tests start and interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
REPOSITORY = Path(__file__).resolve().parent.parent
GOLDEN = REPOSITORY / "tests" / "golden" / "data"


# Files are dealt out whole to the processes (`--dist loadfile`), in the order of collection. The longest come first, so
# that no process is left with one of them when the others are done.
LONGEST = (
    "export/test_export.py",
    "system/test_cli_outputs.py",
    "system/test_cli_process.py",
    "training/test_run.py",
    "system/test_report_browser.py",
    "system/test_cli.py",
    "training/test_damaged.py",
    "export/test_backbone_import.py",
    "kernels/test_cache.py",
    "runtime/test_convert_fuzz.py",
    "runtime/test_steps.py",
    "kernels/test_twins.py",
    "export/test_backbone.py",
    "system/test_stream.py",
    "runtime/test_archive.py",
    "runtime/test_live.py",
    "runtime/test_pool.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests: the longest files first, the others as they were collected; and check what `make` relies on."""
    for path in {item.path for item in items if item.get_closest_marker("slow")}:
        if not re.search(r"mark\.slow|kernel_form", path.read_text(encoding="utf-8")):
            raise pytest.UsageError(f"{path} has slow tests, which `make test-slow` finds by mark.slow or kernel_form")
    ranks = {REPOSITORY / "tests" / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


def pytest_runtest_setup() -> None:
    """Each export with torch parses the sources of all its operators, for a second. Here once a process."""
    for name in [name for name in sys.modules if name.startswith("onnxscript._framework_apis.")]:
        parse = getattr(sys.modules[name], "get_torchlib_ops", None)
        if parse is not None and not hasattr(parse, "cache_info"):
            sys.modules[name].get_torchlib_ops = functools.cache(parse)


def pytest_runtest_teardown() -> None:
    """A process that became real-time would starve those of the other tests: see `ordinary_scheduling`."""
    if sys.platform == "linux" and os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        raise AssertionError("the test left its process with another scheduling policy")


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Folder with `data/` and `golden/`: PUNCTUM_SHARED, or `shared` beside the checkout."""
    folder = Path(os.environ.get("PUNCTUM_SHARED", REPOSITORY.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data at {folder} (set PUNCTUM_SHARED to the folder that holds data/ and golden/)")
    return folder


@pytest.fixture(scope="session", params=["repository", pytest.param("shared", marks=pytest.mark.shared)])
def golden_dir(request: pytest.FixtureRequest) -> Path:
    """Golden vectors: the small set of the repository, and all of them where there is a shared folder."""
    if request.param == "repository":
        return GOLDEN
    folder = request.getfixturevalue("shared_dir") / "golden"
    if not folder.is_dir():
        pytest.skip(f"no golden vectors at {folder}")
    return folder


# Compiling takes most of the time of these tests. Where there are compiled kernels, of the same source, the other form
# belongs to the slow tests.
ROOT = Path(__file__).resolve().parents[1]
JIT = pytest.param("jit", marks=[pytest.mark.slow] if (ROOT / "kernels" / "_compiled.json").is_file() else [])


@pytest.fixture(scope="module", params=[JIT, "compiled"])
def kernel_form(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the tests of a module with each form of the kernels; the compiled one where this installation has it."""
    from punctum import kernels

    try:
        kernels.use(request.param)
    except kernels.KernelsUnavailableError as error:
        pytest.skip(str(error))
    yield request.param
    kernels.use("")
