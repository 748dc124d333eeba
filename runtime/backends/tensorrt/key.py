"""What an engine depends on. Engines with the same key are interchangeable; any difference makes one stale."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU.

    Attributes:
        name: Its name.
        capability: Its compute capability, as "8.7".
        driver: Version of the kernel driver.
        cuda: Version of CUDA that the driver supports.
    """

    name: str
    capability: str
    driver: str
    cuda: str


@dataclass(frozen=True, slots=True)
class EngineKey:
    """Everything that an engine depends on.

    Attributes:
        part: Part of the bundle.
        precision: Precision of the graph.
        graph: SHA-256 of the ONNX file.
        library: The library that built it.
        version: Its version.
        capability: The compute capability.
        device: Name of the GPU on which it was built. This and the next two are empty for an engine that runs on every
            GPU of its capability (tensorrt_rtx).
        driver: Version of the driver with which it was built.
        cuda: Version of CUDA that the driver supports.
        profiles: The optimization profiles, as JSON text.
        flags: The builder's flags, as JSON text.
    """

    part: str
    precision: str
    graph: str
    library: str
    version: str
    capability: str
    device: str
    driver: str
    cuda: str
    profiles: str
    flags: str

    def digest(self) -> str:
        """16 hexadecimal digits of a hash over all fields."""
        return hashlib.sha256(canonical(asdict(self)).encode()).hexdigest()[:16]

    @classmethod
    def from_data(cls, data: object) -> EngineKey:
        """From parsed JSON. Raises ValueError for a field that is missing or not a text."""
        names = [f.name for f in fields(cls)]
        if not isinstance(data, dict) or any(not isinstance(data.get(name), str) for name in names):
            raise ValueError("the key lacks a field")
        return cls(**{name: data[name] for name in names})

    def mismatches(
        self, *, graph: str | None = None, library: tuple[str, str] | None = None, gpu: Gpu | None = None
    ) -> list[str]:
        """Why this engine does not fit, one text for each reason. What is None is not compared.

        Args:
            graph: SHA-256 of the graph that is wanted.
            library: Name and version of the installed library.
            gpu: The GPU here.
        """
        reasons: list[str] = []
        if graph is not None and graph != self.graph:
            reasons.append("built from another graph")
        if library is not None and library != (self.library, self.version):
            reasons.append(f"built with {self.library} {self.version}, this machine has {library[0]} {library[1]}")
        if gpu is None:
            return reasons
        for field, built, present in (
            ("compute capability", self.capability, gpu.capability),
            ("a GPU named", self.device, gpu.name),
            ("driver", self.driver, gpu.driver),
            ("CUDA", self.cuda, gpu.cuda),
        ):
            if built and built != present:
                reasons.append(f"built for {field} {built}, this machine has {present or 'none'}")
        return reasons


def canonical(data: object) -> str:
    """JSON that does not depend on order or layout."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"))
