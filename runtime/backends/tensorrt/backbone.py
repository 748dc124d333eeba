"""A backbone's engine, for any number of clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InputError
from ..runner import Array
from .opener import EngineLoader
from .profiles import split

if TYPE_CHECKING:
    from ...bundle.graphs import BundleGraphs
    from ..options import EngineSpec
    from .session import EngineSession


class BackboneEngine:
    """Runs a backbone's engine on any number of clips, in parts where they exceed its profile."""

    def __init__(self, session: EngineSession) -> None:
        self._session = session
        self._largest = max(p.largest(name) for p in session.profiles for name in session.inputs)
        self.get_inputs, self.get_outputs = session.get_inputs, session.get_outputs

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """As `EngineSession.run`. All inputs have the same number of rows, at least one."""
        count = len(next(iter(feeds.values())))
        parts = [
            self._session.run(outputs, {name: array[part] for name, array in feeds.items()})
            for part in split(count, self._largest)
        ]
        return parts[0] if len(parts) == 1 else [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


def open_backbone_engine(graphs: BundleGraphs, spec: EngineSpec, *, library: str = "auto") -> BackboneEngine:
    """The engine of a bundle's backbone.

    Raises:
        InputError: The bundle has no backbone, or as `TensorRTBackend.open`.
    """
    if graphs.backbone is None:
        raise InputError("bundle-part", f"{graphs.source} has no backbone", next_step="export it with a backbone")
    return BackboneEngine(EngineLoader(graphs, spec, library=library).load(graphs.backbone))
