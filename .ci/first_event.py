"""How long a new installation takes to its first event, of a stream of features and of a video. The kernels have to be
compiled ahead of time, Numba must not be installed, and nothing may be left in the home.

    python first_event.py LIMIT_S
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

MAKE = """
import sys
import numpy as np
from punctum.runtime.synthetic.sensors import make_sequence
from punctum.runtime.synthetic.video import render
from punctum.runtime.synthetic.video.dataset import encode
from pathlib import Path
np.save("x.npy", make_sequence(1_000_007, seconds=120.0).features)
encode(render(2_000_010, seconds=60.0), Path("clip.mp4"))
"""
CASES = {"features": ("demo", "x.npy"), "video": ("default", "clip.mp4")}


def first_event(bundle: str, source: str) -> float:
    """Seconds from the start of the command to the first line on its standard output."""
    code = "from punctum.runtime.cli import main; main()"
    began = time.monotonic()
    command = [sys.executable, "-c", code, "run", bundle, source, "--stream", "--max-delay", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        line = running.stdout.readline() if running.stdout else ""
        spent = time.monotonic() - began
        running.kill()
        if not line:
            sys.exit(f"first_event: no event of {source}: {running.stderr.read() if running.stderr else ''}")
    return spent


def main() -> None:
    limit = float(sys.argv[1])
    if importlib.util.find_spec("numba") is not None:
        sys.exit("first_event: Numba is installed")
    from punctum import kernels

    form = kernels.form()
    if form.name != "compiled":
        sys.exit(f"first_event: the kernels are not compiled ahead of time: {form}")
    assets = Path(kernels.__path__[0]).parent / "runtime" / "assets"
    subprocess.run([sys.executable, "-c", MAKE], check=True)
    told = []
    for name, (bundle, source) in CASES.items():
        spent = [first_event(str(assets / bundle), source) for _ in range(2)]
        told.append(f"{name} {spent[0]:.1f} s, then {spent[1]:.1f} s")
        if min(spent) > limit:
            sys.exit(f"first_event: the first event of {name} came after {spent[0]:.1f} s; {limit:g} s are the limit")
    left = [path for path in Path(os.environ["HOME"]).rglob("*") if path.is_file()]
    if left:
        sys.exit(f"first_event: files are left in the home: {left}")
    print(f"{form.level}; first event of {'; of '.join(told)}")


if __name__ == "__main__":
    main()
