"""Find and load the engines of a bundle. Engines are looked up, never built here."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...errors import InputError, PunctumError
from .cuda import Cuda
from .library import Library, check_runs_on, installed_libraries, load_library
from .session import EngineSession
from .store import EngineStore, default_folder

if TYPE_CHECKING:
    from ...bundle.graphs import BundleGraphs, PartGraph
    from ..options import EngineSpec


class EngineLoader:
    """Loads engines of one bundle from one folder, for one library and the first GPU that the process sees.

    Args:
        graphs: The graphs that the engines were built from.
        spec: Precision, and in its options the folder; without one the folder in the user's cache.
        library: "tensorrt", "tensorrt_rtx", or "auto".
        cuda: An open driver.

    Attributes:
        ignored: Engines in the folder that do not fit, each with the reason.

    Raises:
        InputError: No GPU, no library, or no folder.
    """

    def __init__(
        self, graphs: BundleGraphs, spec: EngineSpec, *, library: str = "auto", cuda: Cuda | None = None
    ) -> None:
        self.graphs = graphs
        self.cuda = cuda or Cuda.open()
        folder = spec.options.engines or default_folder(graphs.bundle_id)
        if not folder.is_dir():
            raise InputError(
                "engine-missing",
                f"There is no folder {folder} with engines of {graphs.bundle_id}",
                required="engines built on this machine",
                next_step=f"punctum build {graphs.source} --out {folder} --precision {spec.precision}",
            )
        self._store = EngineStore(folder)
        self.library = self._select_library(library)
        check_runs_on(self.library, self.cuda.gpu.capability)
        self.ignored: list[str] = []
        self._loaded: list[tuple[str, EngineSession]] = []

    def load(self, graph: PartGraph) -> EngineSession:
        """The engine of one graph.

        Raises:
            InputError: No engine in the folder fits, with the reason for each.
            PunctumError: The library cannot load the engine.
        """
        library = (self.library.name, self.library.version)
        record, engine, ignored = self._store.find(
            graph.part, graph.precision, graph.sha256, library=library, gpu=self.cuda.gpu
        )
        self.ignored += ignored
        kernels = f"kernels-{graph.part}-{graph.precision}-{self.library.version}.cache"
        session = EngineSession(
            self.library,
            self.cuda,
            engine,
            name=f"the {graph.part} engine {record.file}",
            kernels=self._store.blob(kernels) if self.library.rtx else b"",
        )
        self._loaded.append((kernels, session))
        return session

    def save_kernels(self) -> None:
        """Write the kernels that tensorrt_rtx compiled, for the next process, if the folder can be written."""
        for name, session in self._loaded:
            kernels = session.kernels()
            if not kernels or kernels == self._store.blob(name):
                continue
            try:
                self._store.merge_blob(name, partial(_replace, kernels))
            except PunctumError:
                return

    def _select_library(self, choice: str) -> Library:
        """The requested library. For "auto" the first installed one that built anything in the folder, if any."""
        if choice == "auto":
            entries = self._store.entries(deep=False)
            built = {(e.record.key.library, e.record.key.version) for e in entries if e.record}
            for candidate in installed_libraries():
                if (candidate.name, candidate.version) in built:
                    return load_library(candidate.name)
        return load_library(choice)


def _replace(new: bytes, present: bytes) -> bytes:
    return new
