"""Torch modules as locators: what cannot become a graph is refused with its cause."""

from __future__ import annotations

import numpy as np
import pytest
from punctum.runtime import Localizer, PunctumError

pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

import torch
from punctum.export import bundle_from_graphs

D = 3
FACTS = {"labels": ("a", "b", "c"), "dim": D, "stride_s": 0.1, "receptive_field": (1, 1)}


class Convolution(torch.nn.Module):
    def __init__(self, padding: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Conv1d(D, D, 3, padding=padding)

    def forward(self, features):
        track = torch.sigmoid(self.layer(features.transpose(1, 2)).transpose(1, 2))
        return track, track.amax(2)


class OneWindow(Convolution):
    def forward(self, features):
        return super().forward(features[:1])


class Loop(torch.nn.Module):
    def forward(self, features):
        track = torch.stack([torch.sigmoid(features[:, t]) for t in range(features.shape[1])], dim=1)
        return track, track.amax(2)


class Dictionary(torch.nn.Module):
    def forward(self, features):
        return {"class_track": features}


class Single(torch.nn.Module):
    def forward(self, features):
        return torch.sigmoid(features)


@pytest.mark.parametrize("kind", [Convolution, OneWindow])
def test_a_module_becomes_a_bundle(tmp_path, kind):
    module = kind()
    backend = Localizer(bundle_from_graphs(tmp_path / "bundle", locator=module, **FACTS)).backend
    windows = np.random.default_rng(0).standard_normal((2, 20, D)).astype(np.float32)
    track, _ = backend.locate_many(windows)
    for window, found in zip(windows, track, strict=True):
        with torch.no_grad():
            assert found == pytest.approx(module(torch.from_numpy(window[None]))[0][0].numpy(), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "code", "part"),
    [
        (Convolution(padding=0), "graph-shape", "pad convolutions"),
        (Convolution().double(), "locator-module", "fails on features"),
        (Dictionary(), "locator-module", "type dict"),
        (Single(), "locator-module", "type Tensor"),
        (Loop(), "locator-module", "a loop over T"),
    ],
)
def test_a_module_that_is_no_locator_is_refused(tmp_path, module, code, part):
    with pytest.raises(PunctumError) as caught:
        bundle_from_graphs(tmp_path / "bundle", locator=module, **FACTS)
    assert (caught.value.code, part in str(caught.value)) == (code, True), str(caught.value)
    assert not (tmp_path / "bundle").exists()
