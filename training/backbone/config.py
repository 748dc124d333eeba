"""The recipe of a backbone as data: what `train-backbone --config` reads and config.json of a backbone records."""

from __future__ import annotations

from typing import Literal

from punctum.runtime.bundle.backbone_spec import BackboneSpec
from pydantic import Field, model_validator

from ..config import OptimConfig, PointsObjective
from ..recipe import MAX_SEED, MAX_SIZE, Recipe

_PRODUCTS_PER_S = 1.5e10  # multiplications of convolutions per second on one core


class Augmentation(Recipe):
    """Augmentation of motion maps: one draw for a whole window, so that motion is preserved."""

    zoom: float = Field(default=0.25, ge=0)  #: largest change of scale, as a natural logarithm
    aspect: float = Field(default=0.15, ge=0)  #: largest change of aspect ratio, as a natural logarithm
    turn: float = Field(default=0.1, ge=0)  #: largest rotation in radians
    shift: float = Field(default=0.2, ge=0)  #: largest shift, as a share of half the image
    mirror: bool = True  #: mirror half of the windows; off if left and right distinguish classes
    grain: float = Field(default=0.1, ge=0)  #: largest standard deviation of noise on the motion maps
    hide: float = Field(default=0.3, ge=0, le=1)  #: share of windows in which a patch is replaced by its mean


class BackboneConfig(Recipe):
    """The whole recipe of a backbone. Sizes are in pixels, times in snippets unless they say otherwise."""

    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    start: Literal["shipped", "random"] = "shipped"  #: the shipped weights, learned from procedural videos, or none
    fps: float = Field(default=10.0, gt=0, le=1000)  #: frames per second that the network takes
    snippet_frames: int = Field(default=2, ge=1, le=1000)  #: frames per snippet; the stride is snippet_frames / fps
    height: int = Field(default=48, ge=16, le=1024, multiple_of=8)
    width: int = Field(default=64, ge=16, le=1024, multiple_of=8)
    resize: Literal["stretch", "short-side"] = "stretch"
    channels: int = Field(default=16, ge=4, le=1024)  #: base width; the layers have 2 to 6 times as many channels
    dim: int = Field(default=128, ge=8, le=MAX_SIZE)  #: learned feature columns, beside 72 that are not learned
    floor: float = Field(default=0.01, gt=0)
    """Intensity treated as black; lower values keep more of dark scenes, and more noise."""
    hidden: int = Field(default=64, ge=1, le=MAX_SIZE)  #: of the click head, which is discarded after training
    head_kernel: int = Field(default=9, ge=1, le=1001)  #: of the click head, in snippets; odd
    dropout: float = Field(default=0.5, ge=0, lt=1)  #: in the click head
    window: int = Field(default=32, ge=4, le=MAX_SIZE)  #: snippets of a training window
    batch: int = Field(default=4, ge=1, le=MAX_SIZE)  #: windows per step
    bfloat16: bool = False  #: in training: twice as fast on processors that support it, slow on others
    click_weight: float = Field(default=1.0, ge=0)  #: weight of the click loss
    motion_weight: float = Field(default=0.5, ge=0)  #: weight of predicting the motion of later snippets
    view_weight: float = Field(default=0.0, ge=0)  #: weight of VICReg between two augmented views; doubles the cost
    augmentation: Augmentation = Augmentation()
    objective: PointsObjective = PointsObjective(
        sampling="crops", background_at=0.7, background_weight=0.07, balance=0.7, edge_background="before"
    )
    epochs: float = Field(default=6.0, gt=0)  #: passes over the footage; about 20 suit random weights
    steps_per_click: float = Field(default=3.0, gt=0)  #: upper bound of the steps, since few clicks are soon memorized
    minutes: float = Field(default=6.0, gt=0)  #: upper bound of the computing time on one core, see `planned_steps`
    optim: OptimConfig = OptimConfig(rate=5e-4, weight_decay=1e-2, schedule="one-cycle", clip_gradient=5.0)
    """With random weights, four times this learning rate."""
    save_every: int = Field(default=50, ge=1)  #: steps between two saved states to resume from

    @model_validator(mode="after")
    def _odd_kernel(self) -> BackboneConfig:
        if self.head_kernel % 2 == 0:
            raise ValueError("head_kernel must be odd")
        return self

    @property
    def reach(self) -> int:
        """Motion maps that one feature row is computed from."""
        return 8 * self.snippet_frames

    @property
    def clip_frames(self) -> int:
        """Frames of a clip."""
        return self.reach + 1

    @property
    def features(self) -> int:
        """Feature columns."""
        return self.dim + 72

    def planned_steps(self, snippets: int, clicks: int = 0) -> int:
        """Number of training steps; `optim.steps` overrides it.

        Time is computed from the size of the network, not measured, so the same recipe takes the same steps on every
        machine and takes longer on a slow one.

        Args:
            snippets: of the footage.
            clicks: in the footage; 0: unlabeled footage.
        """
        if self.optim.steps is not None:
            return self.optim.steps
        snippets_per_step = self.batch * self.window * (2 if self.view_weight else 1)
        c, cells = self.channels, self.height * self.width / 4
        early = self.snippet_frames * (198 * c + 12 * c * c) + 108 * c * c  # at a quarter of the cells
        products = cells * (early / 4 + 372 * c * c / 16)
        seconds = snippets_per_step * 3 * products / _PRODUCTS_PER_S
        steps = self.epochs * snippets / (self.batch * self.window)
        if clicks and self.click_weight:
            steps = min(steps, self.steps_per_click * clicks)
        return max(min(round(steps), int(60 * self.minutes / seconds)), 1)

    def spec(self) -> BackboneSpec:
        """The spec of the exported graph."""
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
