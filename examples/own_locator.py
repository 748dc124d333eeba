"""Train a locator of your own in PyTorch, put it into a bundle, and run it with punctum's session.

    pip install 'punctum[export]'
    punctum data make-demo --out demo-data --count 24
    python own_locator.py demo-data own-bundle

Prints the bundle's id, the mean average precision on the test recordings, and the first events of one of them. The
bundle then works with every command: `punctum run own-bundle FEATURES.npy`, `punctum eval own-bundle demo-data`.
"""

import sys

import numpy as np
import torch
from punctum.export import bundle_from_graphs
from punctum.runtime import Dataset, Localizer, evaluate
from punctum.runtime.evaluation import Detections
from torch import nn

REACH = 8  # kernel sizes 9 and 9: the output at snippet t depends on t - 8 .. t + 8


class Locator(nn.Module):
    """features [B, T, D] -> class_track [B, T, C] and actionness [B, T], all in 0..1."""

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv1d(dim, 64, 9, padding=4), nn.ReLU(), nn.Conv1d(64, classes, 9, padding=4), nn.Sigmoid()
        )

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        class_track = self.net(features.transpose(1, 2)).transpose(1, 2)
        return class_track, class_track.amax(dim=2)


def train(data: Dataset, epochs: int = 12) -> Locator:
    """Snippets within 0.3 s of a click are positive; those farther than 1.5 s from all clicks are background."""
    torch.manual_seed(0)
    locator, points = Locator(data.feature_dim, len(data.labels)), data.points()
    optimizer = torch.optim.AdamW(locator.parameters(), lr=3e-3)
    for _ in range(epochs):
        for video in data.train:
            features = data.features(video)
            times = features.start_s + (np.arange(len(features.data)) + 0.5) * features.stride_s
            target = np.zeros((len(times), len(data.labels)), np.float32)
            weight = np.full_like(target, 0.1)
            for point in points.get(video, []):
                away = np.abs(times - point.time_s)
                weight[(away > 0.3) & (away < 1.5), point.label] = 0
                target[away <= 0.3, point.label] = weight[away <= 0.3, point.label] = 1
            class_track, _ = locator(torch.from_numpy(features.data)[None])
            loss = nn.functional.binary_cross_entropy(
                class_track[0], torch.from_numpy(target), torch.from_numpy(weight), reduction="sum"
            ) / max(1, len(points.get(video, [])))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return locator


def main(folder: str, out: str) -> None:
    data = Dataset.open(folder)
    bundle = bundle_from_graphs(
        out,
        locator=train(data),
        labels=data.labels,
        dim=data.feature_dim,
        stride_s=data.stride_s,
        receptive_field=(REACH, REACH),
        sample=data,
        name="own-locator",
    )
    print(bundle.id)
    localizer = Localizer(bundle)
    events = {video: localizer.localize(data.features(video), stream=video) for video in data.test}
    truth = data.truth()
    print(f"mAP {evaluate(truth, Detections.from_events(events, truth)).average:.3f}")
    for event in [event for event in events[data.test[0]] if event.score >= 0.3][:5]:
        print(f"{event.start:6.2f} - {event.end:6.2f} s  {event.label:6}  {event.score:.2f}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
