"""Make the bundle that ships as the demo: procedural sequences, simulated clicks, `train`, `export`.

Run from the repository root: `python -m punctum.export.make_demo_bundle`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from punctum.runtime.cli import invoke
from punctum.runtime.demo import write_demo_dataset

SEED = 1  # `punctum demo` makes sequences from seeds above a million: none of these


def main() -> int:
    """Train on 30 made sequences and write the bundle; the exit code says whether every step worked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="runtime/assets/demo", help="bundle folder to replace")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as work:
        data, run = Path(work) / "data", Path(work) / "run"
        write_demo_dataset(data, videos=40, seed=SEED)
        return (
            invoke(["train", str(data), "--out", str(run)])
            or invoke(["export", str(run), "--out", out, "--name", "demo", "--replace"])
            or invoke(["eval", out, str(data)])
        )


if __name__ == "__main__":
    raise SystemExit(main())
