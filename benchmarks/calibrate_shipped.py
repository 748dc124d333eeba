"""Calibrate the bundles that ship, `default` and `demo`, on generated videos and sequences that they have not seen.

Run from the repository root: `python benchmarks/calibrate_shipped.py`. Their networks stay as they are. The seeds here
are those of no training, demo or benchmark.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from punctum.export.calibrate import calibrate_bundle
from punctum.runtime.bundle.reader import Bundle
from punctum.runtime.bundle.writer import save_bundle
from punctum.runtime.synthetic.sensors import write_demo_dataset
from punctum.runtime.synthetic.video import write_videos

ASSETS = Path("runtime/assets")
SEED = 700_000


def main() -> int:
    """Write both bundles; an error is an exception."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=30, help="videos of 40 s for `default`")
    parser.add_argument("--sequences", type=int, default=60, help="sequences of 90 s for `demo`")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        videos, sequences = Path(work) / "videos", Path(work) / "sequences"
        write_demo_dataset(sequences, videos=given.sequences, seed=SEED)
        write_videos(videos, count=given.videos, seed=SEED, test_share=1 / given.videos)
        for name, data in (("demo", sequences), ("default", videos)):
            bundle = Bundle.load(ASSETS / name)
            plain = bundle.manifest.model_copy(update={"calibration": None})
            result, facts = calibrate_bundle(
                Bundle(plain, bundle.source, bundle.content, bundle.sha256), data, subset="train"
            )
            print(f"{name}: {save_bundle(result, ASSETS / name, replace=True)}, {facts}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
