"""A part of a composed backbone: a network, and how it is applied to the clips."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from punctum.runtime.bundle.backbone_spec import BackboneSpec
from punctum.runtime.datatypes import by_value, compact

from .options import Frames, Give

if TYPE_CHECKING:
    from .network import Network

F32 = npt.NDArray[np.float32]


@compact
@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Components:
    """Principal components: features -> (features - mean) @ matrix.

    Attributes:
        mean: [D].
        matrix: [D, K].
        kept: Share of the variance of the footage that the components have.
    """

    mean: F32
    matrix: F32
    kept: float


@compact
@dataclass(frozen=True, slots=True, repr=False)
class Part:
    """One network and its settings.

    Attributes:
        name: Unique in the backbone.
        network: The network.
        spec: What the network takes: size, rate, colors, frames of a clip.
        frames: For image networks: frames of the snippet that it is applied to; None: a network of clips.
        give: Features, their change, or both.
        lag: Snippets that the change looks back.
        rate_free: Whether the network has no frame rate of its own, so that it takes that of the other parts.
        wanted: Principal components to keep; None: all columns.
        source_sha256: SHA-256 of the file that the network came from.
        license: Its license.
        publisher: Who published it.
        components: The fitted components.
    """

    name: str
    network: Network
    spec: BackboneSpec
    frames: Frames | None
    give: Give
    lag: int
    rate_free: bool
    wanted: int | None
    source_sha256: str
    license: str
    publisher: str
    components: Components | None = None

    @property
    def dim(self) -> int:
        """Columns of the part."""
        if self.components is not None:
            return int(self.components.matrix.shape[1])
        return self.network.dim * (2 if self.give == "both" else 1)

    @property
    def settings(self) -> str:
        """How the network is applied, for records."""
        words = [] if self.frames is None else [f"frames={self.frames}"]
        if self.give != "features":
            words += [f"give={self.give}", f"lag={self.lag}"]
        if self.components is not None:
            words.append(f"components={self.dim} ({100 * self.components.kept:.1f} % of the variance)")
        return ", ".join(words)

    def frame_sets(self) -> list[list[int]]:
        """Frames that the network takes for one row, relative to the first frame after the snippet, at its own rate.

        Two sets if the change is given: those of the snippet, then those of `lag` snippets before.
        """
        spec = self.spec
        size = spec.snippet_frames
        if self.frames == "middle":
            now = [size // 2 - size]
        elif self.frames == "last":
            now = [-1]
        else:
            now = [j - spec.clip_frames + spec.right_frames for j in range(spec.clip_frames)]
        if self.give == "features":
            return [now]
        return [now, [j - self.lag * size for j in now]]

    def at_rate(self, fps: float, stride_s: float) -> Part:
        """The part at the rate of the others, if it has none of its own."""
        if not self.rate_free:
            return self
        frames = max(round(fps * stride_s), 1)
        clip = frames if self.frames == "mean" else 1
        rate = {"fps": fps, "snippet_frames": frames, "clip_frames": clip, "right_frames": 0}
        return replace(self, spec=self.spec.model_copy(update=rate))
