"""The C++ example with ONNX Runtime as its engine, built as a project of its own: its events are those of Python."""

from __future__ import annotations

import os
from importlib import resources, util
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime import Bundle, Event, Localizer
from punctum.runtime.live import LiveOptions
from punctum.runtime.synthetic.sensors import make_sequence

from tests.native import binding
from tests.native.prefix import ROOT, install, run

EXAMPLE = ROOT / "kernels" / "native" / "examples" / "onnxruntime"
FOLDERS = ("/usr/include/onnxruntime", "/usr/local/include/onnxruntime", "/usr/local/include")


@pytest.fixture(scope="module")
def pipeline(library_path, tmp_path_factory) -> Path:
    """Headers from ONNXRUNTIME_INCLUDE_DIR or the system, the library from the Python wheel."""
    candidates = [folder for folder in (os.environ.get("ONNXRUNTIME_INCLUDE_DIR"), *FOLDERS) if folder]
    headers = next((f for f in candidates if (Path(f) / "onnxruntime_cxx_api.h").is_file()), None)
    if headers is None:
        pytest.skip("no C++ headers of ONNX Runtime (Debian 13: libonnxruntime-dev; or set ONNXRUNTIME_INCLUDE_DIR)")
    found = util.find_spec("onnxruntime")
    wheel = Path(found.origin or "").parent if found else Path()
    libraries = sorted((wheel / "capi").glob("libonnxruntime.so.*"))
    if not libraries:
        pytest.skip("no libonnxruntime.so in the wheel of onnxruntime")
    folder = tmp_path_factory.mktemp("pipeline")
    prefix, lib = install(folder / "prefix"), folder / "onnxruntime" / "lib"
    lib.mkdir(parents=True)
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):  # the names that a linker and a loader look for
        (lib / name).symlink_to(libraries[-1])
    places = f"-DCMAKE_PREFIX_PATH={prefix};{lib.parent}"
    strict = "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror"
    run("cmake", "-S", EXAMPLE, "-B", folder / "build", places, f"-DONNXRUNTIME_INCLUDE_DIR={headers}", strict)
    run("cmake", "--build", folder / "build")
    return folder / "build" / "pipeline"


@pytest.mark.parametrize("delay", [None, 1.0])
def test_events_are_those_of_python(pipeline, tmp_path, delay):
    """The demo bundle has a locator and a scorer."""
    bundle = resources.files("punctum.runtime") / "assets" / "demo"
    features = make_sequence(17, seconds=60).features
    (tmp_path / "rows.f32").write_bytes(features.tobytes())
    done = run(pipeline, bundle, tmp_path / "rows.f32", *([] if delay is None else [str(delay)]))
    session = Localizer(Bundle.load(str(bundle))).session(live=LiveOptions(max_delay_s=delay))
    want = [e for at in range(0, len(features), 16) for e in session.push(features[at : at + 16])] + session.flush()
    assert np.isfinite([event.score for event in want]).all()
    assert binding.difference([Event.from_json(line) for line in done.stdout.splitlines()], want) == ""
