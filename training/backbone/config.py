"""The recipe of a backbone as data."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from punctum.runtime.bundle.backbone_spec import BackboneSpec
from pydantic import Field, model_validator

from ..config import LARGEST_SEED, MOST, OptimConfig, PointsObjective, Recipe, read_recipe

_PRODUCTS = 1.5e10  # multiplications of convolutions in a second on one core


class Augmentation(Recipe):
    """How maps of motion are changed in training: one draw for the whole window, so that motion stays motion."""

    zoom: float = Field(default=0.25, ge=0)  # logarithm of the largest change of scale
    aspect: float = Field(default=0.15, ge=0)  # logarithm of the largest change of shape
    turn: float = Field(default=0.1, ge=0)  # radians
    shift: float = Field(default=0.2, ge=0)  # part of half the image
    mirror: bool = True  # off where left and right tell classes apart
    grain: float = Field(default=0.1, ge=0)  # largest standard deviation of noise on the maps of motion
    hide: float = Field(default=0.3, ge=0, le=1)  # share of windows in which a patch is grey


class BackboneConfig(Recipe):
    """What `train-backbone` learns and how."""

    seed: int = Field(default=0, ge=0, le=LARGEST_SEED)
    start: Literal["shipped", "random"] = "shipped"  # weights learned from procedural videos, or none
    fps: float = Field(default=10.0, gt=0, le=1000)
    snippet_frames: int = Field(default=2, ge=1, le=1000)
    height: int = Field(default=48, ge=16, le=1024, multiple_of=8)
    width: int = Field(default=64, ge=16, le=1024, multiple_of=8)
    resize: Literal["stretch", "short-side"] = "stretch"
    channels: int = Field(default=16, ge=4, le=1024)  # the layers have 2 to 6 times as many
    dim: int = Field(default=128, ge=8, le=MOST)  # learned columns; 72 that need no learning stand beside them
    floor: float = Field(default=0.01, gt=0)  # intensity taken for black: the lower, the more of dark scenes, and grain
    hidden: int = Field(default=64, ge=1, le=MOST)  # of the click head, which is thrown away after training
    head_kernel: int = Field(default=9, ge=1, le=1001)  # snippets that the click head sees; odd
    dropout: float = Field(default=0.5, ge=0, lt=1)
    window: int = Field(default=32, ge=4, le=MOST)  # snippets of a training window
    batch: int = Field(default=4, ge=1, le=MOST)  # windows a step
    bfloat16: bool = False  # products in training: twice as fast on processors that have it, slow on others
    click_weight: float = Field(default=1.0, ge=0)
    motion_weight: float = Field(default=0.5, ge=0)  # predicting the map of motion of the snippets to come
    view_weight: float = Field(default=0.0, ge=0)  # two views of a clip have alike features (VICReg); twice the cost
    augmentation: Augmentation = Augmentation()
    objective: PointsObjective = PointsObjective(
        sampling="crops", background_at=0.7, background_weight=0.07, balance=0.7, edge_background="before"
    )
    epochs: float = Field(default=6.0, gt=0)  # passes over the footage (some 20 from random weights),
    steps_per_click: float = Field(default=3.0, gt=0)  # and, with clicks, at most so long: few are soon remembered;
    minutes: float = Field(default=6.0, gt=0)  # as far as so many minutes of one core allow (see `planned_steps`)
    # from random weights four times the rate
    optim: OptimConfig = OptimConfig(rate=5e-4, weight_decay=1e-2, schedule="one-cycle", clip_gradient=5.0)
    save_every: int = Field(default=50, ge=1)  # steps between two states to resume from

    @model_validator(mode="after")
    def _odd(self) -> BackboneConfig:
        if self.head_kernel % 2 == 0:
            raise ValueError("head_kernel must be odd")
        return self

    @property
    def reach(self) -> int:
        """Maps of motion that one row of features is computed from."""
        return 8 * self.snippet_frames

    @property
    def clip_frames(self) -> int:
        return self.reach + 1

    @property
    def features(self) -> int:
        """Columns of the features."""
        return self.dim + 72

    def planned_steps(self, snippets: int, clicks: int = 0) -> int:
        """Steps of training on so many snippets and clicks (0: footage alone); `optim.steps` is the last word.

        Time is computed from the size of the network, not measured: the same command gives the same weights on every
        machine, and takes longer on a slow one.
        """
        if self.optim.steps is not None:
            return self.optim.steps
        shown = self.batch * self.window * (2 if self.view_weight else 1)
        c, cells = self.channels, self.height * self.width / 4
        early = self.snippet_frames * (198 * c + 12 * c * c) + 108 * c * c  # products at a quarter of the cells
        products = cells * (early / 4 + 372 * c * c / 16)
        seconds = shown * 3 * products / _PRODUCTS
        wanted = self.epochs * snippets / (self.batch * self.window)
        if clicks and self.click_weight:
            wanted = min(wanted, self.steps_per_click * clicks)
        return max(min(round(wanted), int(60 * self.minutes / seconds)), 1)

    def spec(self) -> BackboneSpec:
        """What the exported graph expects."""
        return BackboneSpec(
            fps=self.fps,
            clip_frames=self.clip_frames,
            snippet_frames=self.snippet_frames,
            height=self.height,
            width=self.width,
            resize=self.resize,
            colour="gray",
            mean=(0.0,),
            std=(1.0,),
            layout="NTCHW",
        )


def load_backbone_config(path: Path) -> BackboneConfig:
    """Read a recipe file: the fields of `BackboneConfig`, all optional. Raises InputError by field name."""
    from ..effects import backbone_fields, refuse_idle

    recipe = read_recipe(path, BackboneConfig)
    refuse_idle(path, backbone_fields(recipe))
    return recipe
