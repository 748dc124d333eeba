"""Make the bundle that ships as `default`: procedural videos, simulated clicks, `punctum train`.

Run from the repository root: `python benchmarks/make_default_bundle.py`. Rendering takes 20 minutes and
training 35 on one core; both continue, with the same --work, where they were stopped. From the weights of its backbone,
which are then in --work, benchmarks/make_motion_weights.py goes on. benchmarks/default_bundle.py judges the result on
videos of other seeds.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from punctum.export.exporter import OnnxExporter
from punctum.runtime import Dataset
from punctum.runtime.files.atomic import atomic_folder
from punctum.runtime.synthetic.video import write_videos
from punctum.training import recipes
from punctum.training.backbone.config import BackboneConfig
from punctum.training.config import LocatorConfig, OptimConfig, TrainConfig
from punctum.training.videos import BUNDLE, train_on_videos

VIDEOS, SECONDS, STEPS = 240, 40.0, 5000
SEED = 1  # `punctum demo` and the benchmarks make videos from seeds above a million: none of these
LARGEST = 8 << 20  # bytes of the whole bundle
NAME = "default"


def backbone_recipe() -> BackboneConfig:
    """From nothing, and much longer than by default: everything that is known about motion is learned here."""
    optim = OptimConfig(steps=STEPS, rate=2e-3, weight_decay=1e-2, schedule="one-cycle", clip_gradient=5.0)
    return BackboneConfig(seed=SEED, start="random", batch=8, motion_weight=0.0, bfloat16=True, optim=optim)


def locator_recipe() -> TrainConfig:
    """The default for videos with many clicks, with narrower networks: the bundle travels in the wheel."""
    recipe = recipes.for_videos(clicks=recipes.MANY_CLICKS)
    partners = tuple(p.model_copy(update={"locator": _one(p.locator, 48)}) for p in recipe.partners)
    if recipe.center is None:
        raise RuntimeError("the default recipe has no head")
    changes: dict[str, Any] = {
        "seed": SEED,
        "locator": _one(recipe.locator, 96),
        "partners": partners,
        "center": recipe.center.model_copy(update={"embed": 32, "hidden": 128, "members": 1}),
    }
    return recipe.model_copy(update=changes)


def _one(locator: LocatorConfig, units: int) -> LocatorConfig:
    hidden = tuple(layer.model_copy(update={"units": units}) for layer in locator.hidden)
    return locator.model_copy(update={"hidden": hidden, "members": 1, "embed": units if locator.embed else 0})


def main() -> int:
    """Render, train and write the bundle; a refusal is an exception."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runtime/assets/default"), help="bundle folder to replace")
    parser.add_argument("--work", type=Path, help="keep the videos and the run here, and go on from what is there")
    parser.add_argument("--videos", type=int, default=VIDEOS)
    parser.add_argument("--steps", type=int, help="steps of the backbone, for a quick look")
    given = parser.parse_args()
    torch.set_num_threads(1)  # part of the recipe: the order of sums depends on it
    if given.work is not None:
        make(given.out, given.work, videos=given.videos, steps=given.steps)
        return 0
    with tempfile.TemporaryDirectory() as work:
        make(given.out, Path(work), videos=given.videos, steps=given.steps)
    return 0


def make(out: Path, work: Path, *, videos: int = VIDEOS, steps: int | None = None) -> dict[str, Any]:
    """The bundle at `out`, and the summary of its training. Raises RuntimeError where it would be too large to ship."""
    data, run = work / "videos", work / "run"
    if not (data / "dataset.json").is_file():
        write_videos(data, count=videos, seed=SEED, seconds=SECONDS, test_share=1 / videos)
    backbone = backbone_recipe()
    if steps is not None:
        backbone = backbone.model_copy(update={"optim": backbone.optim.model_copy(update={"steps": steps})})
    opened = Dataset.open(data, need_features=False)
    resume = (run / "backbone").is_dir()
    summary = train_on_videos(
        opened, locator_recipe(), backbone, run, exporter=OnnxExporter(), resume=resume, name=NAME
    )
    size = sum(file.stat().st_size for file in (run / BUNDLE).iterdir())
    if size > LARGEST:
        raise RuntimeError(f"the bundle has {size} bytes, and {LARGEST} may ship")
    with atomic_folder(out, replace=True) as folder:
        shutil.copytree(run / BUNDLE, folder, dirs_exist_ok=True)
    print(f"{summary['bundle']} of {size / 1e6:.2f} MB -> {out}")
    return summary


if __name__ == "__main__":
    raise SystemExit(main())
