"""A data set for each site, whose videos are the test videos: what `punctum train` gives where it has not been.

    python benchmarks/site_folders.py DATA --sites FILE OUT
    punctum train OUT/hall --out RUNS/hall && punctum eval RUNS/hall/bundle OUT/hall

FILE is CSV with the columns video_id and site, for all videos of the lists. The videos of all other sites are those
for training. A published split has clicks for its training videos only, and a video without a click counts as one
without actions, so one click per action is simulated in the others: normally distributed around its middle, with a
standard deviation of 0.2 of its length, cut at its ends. OUT/points.csv has all clicks.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from punctum.runtime import Dataset

SPREAD = 0.2


def clicks_of(data: Dataset, seed: int) -> list[tuple[str, str, float]]:
    """Label, video and seconds of all clicks, simulated ones in test videos without any."""
    points, truth, rng = data.points(), data.truth(), np.random.default_rng(seed)
    rows = [(point.label, video, point.time_s) for video, clicks in points.items() for point in clicks]
    for place, video in enumerate(truth.videos):
        for action in np.flatnonzero(truth.video == place):
            if not points.get(video):
                start, end = truth.segments[action]
                share = float(np.clip(0.5 + SPREAD * rng.standard_normal(), 0, 1))
                rows.append((int(truth.label[action]), video, float(start + share * (end - start))))
    return [(data.labels[label], video, time) for label, video, time in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="data set of videos, with ground truth")
    parser.add_argument("out", type=Path, help="folder that gets a data set for each site")
    parser.add_argument("--sites", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0, help="of the simulated clicks")
    arguments = parser.parse_args()
    data, record = Dataset.open(arguments.data, need_features=False), arguments.data / "dataset.json"
    with arguments.sites.open(encoding="utf-8", newline="") as file:
        site_of = {row["video_id"]: row["site"] for row in csv.DictReader(file)}
    settings = json.loads(record.read_text(encoding="utf-8"))
    rate = settings.get("fps", 1.0)
    lines = [f"{label},{video},{time * rate:.2f}" for label, video, time in clicks_of(data, arguments.seed)]
    points = "\n".join(["class,video_id,point", *lines]) + "\n"
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "points.csv").write_text(points, encoding="utf-8")
    videos = [video for video in (*data.train, *data.test) if video in site_of]
    for site in sorted(set(site_of.values())):
        folder = arguments.out / site
        folder.mkdir(exist_ok=True)
        for name in ("dataset.json", "gt.json"):
            (folder / name).write_bytes((arguments.data / name).read_bytes())
        (folder / "points.csv").write_text(points, encoding="utf-8")
        for name, here in (("train.txt", False), ("test.txt", True)):
            chosen = [video for video in videos if (site_of[video] == site) == here]
            (folder / name).write_text("\n".join(chosen) + "\n", encoding="utf-8")
        link = folder / settings["video_folder"]
        if not link.exists():
            link.symlink_to((arguments.data / settings["video_folder"]).resolve(), target_is_directory=True)


if __name__ == "__main__":
    main()
