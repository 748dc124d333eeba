"""What an installation weighs, for each extra, and how soon it reports its first event.

    python benchmarks/installed.py WHEEL [--extras cpu,video,...] [--json FILE]

Each extra is installed with the wheel into a new environment, from wheels only; the size is that of all files but pip,
setuptools and compiled Python (__pycache__). The first event is that of `.ci/first_event.py` in the environment of
`cpu,video`: seconds from the start of `punctum run --stream` to the first line, with an empty home, for a stream of
features and for a video; it needs a wheel with compiled kernels, which `.ci/compiled FOLDER --build-only` makes.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from result_file import Row, add_json, save

FIRST_EVENT = Path(__file__).resolve().parent.parent / ".ci" / "first_event.py"
EXTRAS = "none,cpu,video,cpu+video,cpu+jit"


def size(environment: Path) -> float:
    """MB of what was installed."""
    site = next(environment.glob("lib/python*/site-packages"))
    own = ("pip", "setuptools", "pkg_resources", "_distutils_hack")
    files = (
        file
        for file in site.rglob("*")
        if not file.relative_to(site).parts[0].startswith(own) and "__pycache__" not in file.parts
    )
    return sum(file.stat().st_size for file in files if file.is_file() and not file.is_symlink()) / 1e6


def first_events(python: Path, work: Path) -> list[Row]:
    """First and second start, of features and of video."""
    home = work / "home"
    home.mkdir()
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV", "PUNCTUM_KERNELS")}
    command = [str(python), str(FIRST_EVENT), "1000"]
    told = subprocess.run(
        command, cwd=work, env=clean | {"HOME": str(home)}, capture_output=True, text=True, check=True
    )
    found = re.findall(r"(features|video) ([\d.]+) s, then ([\d.]+) s", told.stdout)
    return [
        Row(f"first event of {name}, {which} start", float(seconds), "s")
        for name, *both in found
        for which, seconds in zip(("first", "second"), both, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--extras", default=EXTRAS, help="separated by commas; several in one by +")
    add_json(parser)
    options = parser.parse_args()
    if not options.wheel.is_file():
        parser.error(f"{options.wheel} is no file. Required: a wheel of punctum.")
    rows: list[Row] = []
    skipped: dict[str, str] = {}
    for extras in options.extras.split(","):
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            subprocess.run([sys.executable, "-m", "venv", str(work / "venv")], check=True)
            python = work / "venv" / "bin" / "python"
            what = str(options.wheel.resolve()) + ("" if extras == "none" else f"[{extras.replace('+', ',')}]")
            pip = [str(python), "-m", "pip", "--disable-pip-version-check", "-q", "install", "--no-compile"]
            done = subprocess.run([*pip, "--only-binary=:all:", what], capture_output=True, text=True)
            if done.returncode:
                skipped[extras] = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
            else:
                rows.append(Row(f"installed, {extras}", size(work / "venv"), "MB"))
                if extras == "cpu+video":
                    try:
                        rows += first_events(python, work)
                    except subprocess.CalledProcessError as error:
                        skipped["first event"] = (error.stderr.strip().splitlines() or ["failed"])[-1]
            print(extras, skipped.get(extras) or f"{rows[-1].name}: {rows[-1].value:.1f} {rows[-1].unit}", flush=True)
    for row in rows:
        print(f"{row.name:40} {row.value:8.1f} {row.unit}")
    save(options.json, rows, skipped=skipped)


if __name__ == "__main__":
    main()
