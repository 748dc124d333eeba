"""TSPNet as a plug-in: punctum's scorer trained on the proposals of a base locator of your own, and applied to them.

    pip install 'punctum[train,export,cpu]'
    punctum data make-demo --out demo-data --count 24
    python base_proposals.py demo-data work

`propose` stands in for your base locator: it compares every snippet with the mean features at the clicks of a class.
Replace it with yours, or start from a result file in ActivityNet form that you have already. Prints what the commands
print: `punctum eval` first of the proposals as they are (after soft suppression), then after `punctum rescore`.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from punctum.runtime import Dataset, Features


def prototypes(data: Dataset) -> np.ndarray:
    """Mean features within 0.3 s of the clicks of each class, [C, D]."""
    rows: list[list[np.ndarray]] = [[] for _ in data.labels]
    points = data.points()
    for video in data.train:
        features = data.features(video)
        for point in points.get(video, []):
            first, last = (round((point.time_s + side) / features.stride_s) for side in (-0.3, 0.3))
            rows[point.label].append(features.data[max(first, 0) : last + 1].mean(axis=0))
    return np.array([np.mean(found, axis=0) for found in rows])


def propose(features: Features, mean: np.ndarray, labels: tuple[str, ...]) -> list[dict]:
    """Runs of snippets that resemble a class, at four levels: {"label", "segment": [start_s, end_s], "score"}."""
    smooth = np.apply_along_axis(np.convolve, 0, features.data, np.full(5, 0.2), "same")
    likeness = smooth @ mean.T / (np.linalg.norm(smooth, axis=1)[:, None] * np.linalg.norm(mean, axis=1) + 1e-6)
    proposals = []
    for index, label in enumerate(labels):
        for level in (0.5, 0.6, 0.7, 0.8):
            inside = np.concatenate([[False], likeness[:, index] >= level, [False]])
            edges = np.flatnonzero(np.diff(inside.astype(int))).reshape(-1, 2)
            for start, end in edges[edges[:, 1] - edges[:, 0] >= 4]:
                segment = [round(features.start_s + t * features.stride_s, 3) for t in (int(start), int(end))]
                score = float(likeness[start:end, index].mean())
                proposals.append({"label": label, "segment": segment, "score": score})
    return proposals


def main(folder: str, out: str, *options: str) -> None:
    data, work = Dataset.open(folder), Path(out)
    work.mkdir(parents=True, exist_ok=True)
    mean = prototypes(data)
    results = {video: propose(data.features(video), mean, data.labels) for video in (*data.train, *data.test)}
    file = work / "proposals.json"
    file.write_text(json.dumps({"version": "base", "results": results}))
    print(f"{sum(map(len, results.values()))} proposals for {len(results)} recordings in {file}")

    run, bundle, before, after = (str(work / name) for name in ("run", "bundle", "before.json", "after.json"))
    for command in (
        ["train", folder, "--out", run, "--proposals", str(file), *options],
        ["export", run, "--out", bundle],
        ["rescore", folder, str(file), "--no-adapt", "--out", before],  # no bundle: the scores of the file
        ["eval", folder, "--detections", before],
        ["rescore", bundle, folder, str(file), "--fusion", "center=1,base=1", "--out", after],
        ["eval", folder, "--detections", after],
    ):
        subprocess.run(["punctum", *command], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
