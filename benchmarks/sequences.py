"""Two data sets of generated sequences: actions with background between them, and actions that touch.

    python benchmarks/sequences.py data
    python benchmarks/accuracy.py data/sparse --quick
    python benchmarks/accuracy.py data/back-to-back --quick

Neither was used to develop the recipe. The seeds are those of no training, demo or other benchmark.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from punctum.runtime.synthetic.sensors import write_demo_dataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder that gets the two data sets")
    out = parser.parse_args().out
    write_demo_dataset(out / "sparse", videos=40, seed=11)
    write_demo_dataset(out / "back-to-back", videos=40, seed=12, back_to_back=True)


if __name__ == "__main__":
    main()
