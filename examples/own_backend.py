"""An engine of your own: class prototypes in NumPy instead of ONNX graphs, in punctum's sessions and evaluation.

    pip install 'punctum[cpu]'
    punctum data make-demo --out demo-data --count 24
    python own_backend.py demo-data

Prints the mean average precision on the test recordings, and the first reports of one of them, run as a stream. An
engine for a bundle (an accelerator that ONNX Runtime does not know, a remote server) has the same two methods, and
`Localizer.around(engine, bundle)` uses it.
"""

import sys

import numpy as np
from punctum.runtime import Dataset, Localizer, PostProcess, evaluate
from punctum.runtime.evaluation import Detections
from punctum.runtime.live import LiveOptions

REACH = 2  # the mean over 5 snippets: row t depends on t - 2 .. t + 2


class Prototypes:
    """How similar each snippet is to the mean features at the clicks of each class."""

    requested = actual = "numpy"

    def __init__(self, data: Dataset) -> None:
        points, rows = data.points(), [[] for _ in data.labels]
        for video in data.train:
            features = data.features(video)
            for point in points.get(video, []):
                rows[point.label].append(features.data[int((point.time_s - features.start_s) / features.stride_s)])
        self.mean = np.array([np.mean(found, axis=0) for found in rows])
        self.mean /= np.linalg.norm(self.mean, axis=1, keepdims=True)

    def locate(self, features):
        """features [T, D] -> class_track [T, C], actionness [T], float32 in 0..1."""
        padded = np.pad(features, ((REACH, REACH), (0, 0)))
        smooth = sum(padded[k : k + len(features)] for k in range(2 * REACH + 1)) / (2 * REACH + 1)
        likeness = smooth @ self.mean.T / (np.linalg.norm(smooth, axis=1, keepdims=True) + 1e-6)
        class_track = np.clip(2 * likeness - 1, 0, 1).astype(np.float32)
        return class_track, class_track.max(axis=1)

    def score(self, features, tracks, segments, labels):
        """M proposals -> class probability [M, C], attention [M], center score [M]: ones, as there is no scorer."""
        one = np.ones(len(labels), np.float32)
        return np.ones((len(labels), tracks.shape[1] - 1), np.float32), one, one


def main(folder: str) -> None:
    data = Dataset.open(folder)
    localizer = Localizer.from_parts(
        Prototypes(data),
        labels=data.labels,
        dim=data.feature_dim,
        stride_s=data.stride_s,
        post=PostProcess(right_context_s=0.5),
        receptive_field=(REACH, REACH),
    )
    truth = data.truth()
    events = {video: localizer.localize(data.features(video), stream=video) for video in truth.videos}
    print(f"mAP {evaluate(truth, Detections.from_events(events, truth)).average:.3f}")
    video = data.test[0]
    reports = localizer.stream([data.features(video)], stream=video, live=LiveOptions(max_delay_s=1.0))
    for event in [event for event in reports if event.score >= 0.1][:5]:
        print(f"{event.phase:6}  {event.start:6.2f} - {event.end:6.2f} s  {event.label:6}  {event.score:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
