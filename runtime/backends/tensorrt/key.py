"""What an engine depends on. Two engines with the same key are interchangeable; any difference makes one stale."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Gpu:
    """The device under an engine. capability: "8.7"; driver, cuda: version of the driver and of CUDA that it speaks."""

    name: str
    capability: str
    driver: str
    cuda: str


@dataclass(frozen=True, slots=True)
class EngineKey:
    """graph: sha256 of the ONNX file. profiles, flags: what the builder was told, as JSON text.

    device, driver, cuda: of the machine that built it; empty where an engine was built for a capability by name and
    runs wherever that capability is (tensorrt_rtx).
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
        """16 hexadecimal digits over all of it."""
        return hashlib.sha256(canonical(asdict(self)).encode()).hexdigest()[:16]

    @classmethod
    def from_data(cls, data: Any) -> EngineKey:
        """From parsed JSON. Raises ValueError where a field is missing or no text."""
        names = [f.name for f in fields(cls)]
        if not isinstance(data, dict) or any(not isinstance(data.get(name), str) for name in names):
            raise ValueError("the key lacks a field")
        return cls(**{name: data[name] for name in names})

    def misfits(
        self, *, graph: str | None = None, library: tuple[str, str] | None = None, gpu: Gpu | None = None
    ) -> list[str]:
        """Why this engine is not for here, in words; empty where it is. What is None is not compared.

        library: (name, version) as installed.
        """
        found: list[str] = []
        if graph is not None and graph != self.graph:
            found.append("built from another graph")
        if library is not None and library != (self.library, self.version):
            found.append(f"built with {self.library} {self.version}, here is {library[0]} {library[1]}")
        if gpu is None:
            return found
        for what, own, here in (
            ("compute capability", self.capability, gpu.capability),
            ("a GPU named", self.device, gpu.name),
            ("driver", self.driver, gpu.driver),
            ("CUDA", self.cuda, gpu.cuda),
        ):
            if own and own != here:
                found.append(f"built for {what} {own}, here is {here or 'none'}")
        return found


def canonical(data: Mapping[str, Any] | list[Any]) -> str:
    """JSON that does not depend on order or layout."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"))
