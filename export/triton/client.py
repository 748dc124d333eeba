"""A client of a Triton server that runs the graphs of a bundle; sessions run in the client.

    pip install 'tritonclient[grpc]'
    python client.py BUNDLE features.npy --url localhost:8001        # events as JSON Lines

or in a program:

    from punctum.runtime import Bundle
    localizer = open_localizer(Bundle.load("bundle/"), "localhost:8001")
    session = localizer.session(stream="cam-1")
    for event in session.push(features): ...

This file does not import other files of its package, so a copy works wherever punctum is installed, without ONNX
Runtime.
"""

from __future__ import annotations

import argparse
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from punctum.runtime import Bundle, Localizer
from punctum.runtime.backbone.backbone import VideoBackbone, no_backbone
from punctum.runtime.backends.onnxruntime.backend import OnnxBackend
from punctum.runtime.backends.options import EngineSpec
from punctum.runtime.bundle.precision import Part
from punctum.runtime.errors import InputError, PunctumError

Array = npt.NDArray[Any]
TIMEOUT_S = 30.0


def model_name(name: str, part: Part) -> str:
    """The name of a part of a bundle in the server. name: of the bundle or the repository."""
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '-', name).strip('-') or 'punctum'}_{part}"


@dataclass(frozen=True, slots=True)
class _Tensor:
    """An input or output, with the attributes that ONNX Runtime gives it."""

    name: str
    shape: list[int | str]
    type: str


class TritonModel:
    """One model of a server, with the interface of an ONNX Runtime session.

    Threads may share it, one request at a time. For requests of several threads to share a run in the server, open one
    localizer per thread.
    """

    def __init__(self, grpc: Any, client: Any, name: str, *, timeout_s: float) -> None:
        self._grpc, self._client, self.name, self._timeout_s = grpc, client, name, timeout_s
        self._lock = threading.Lock()
        try:
            self.config = client.get_model_config(name, client_timeout=timeout_s).config
        except grpc.InferenceServerException as error:
            raise InputError(
                "triton-model",
                f"The server has no ready model {name} ({error.message()})",
                "a model of a repository that `punctum export --triton` wrote",
                "load the repository in the server, or pass the name that it was exported with",
            ) from None
        self._max_batch = int(self.config.max_batch_size)

    def parameter(self, key: str) -> str:
        """A parameter of the model's configuration; "" if it has none of this name."""
        return str(self.config.parameters[key].string_value) if key in self.config.parameters else ""

    def get_inputs(self) -> list[_Tensor]:
        return [self._tensor(t) for t in self.config.input]

    def get_outputs(self) -> list[_Tensor]:
        return [self._tensor(t) for t in self.config.output]

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """Run the model. Batches beyond the server's maximum are sent in several requests.

        outputs: names; feeds: arrays by input name. Returns the arrays of the outputs.
        """
        count = len(next(iter(feeds.values())))
        if not self._max_batch or count <= self._max_batch:
            return self._request(outputs, feeds)
        parts = [
            self._request(outputs, {name: array[low : low + self._max_batch] for name, array in feeds.items()})
            for low in range(0, count, self._max_batch)
        ]
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    def _request(self, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        tensors = []
        for name, array in feeds.items():
            tensor = self._grpc.InferInput(name, array.shape, {"f": "FP32", "i": "INT64"}[array.dtype.kind])
            tensor.set_data_from_numpy(np.ascontiguousarray(array))
            tensors.append(tensor)
        requested = [self._grpc.InferRequestedOutput(name) for name in outputs]
        with self._lock:
            try:
                response = self._client.infer(self.name, tensors, outputs=requested, client_timeout=self._timeout_s)
            except self._grpc.InferenceServerException as error:
                raise PunctumError(
                    "triton-failed",
                    f"A request to {self.name} failed: {error.message()}",
                    f"an answer within {self._timeout_s:g} s",
                    "see the server's log",
                ) from None
        return [response.as_numpy(name) for name in outputs]

    def _tensor(self, tensor: Any) -> _Tensor:
        stack: list[int | str] = ["N"] if self._max_batch else []
        kinds = {"TYPE_FP32": "float", "TYPE_INT64": "int64"}
        kind = type(tensor).DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number[tensor.data_type].name
        dims = [int(n) if n >= 0 else f"{tensor.name}_{axis}" for axis, n in enumerate(tensor.dims)]
        return _Tensor(tensor.name, [*stack, *dims], f"tensor({kinds.get(kind, kind)})")


def open_localizer(bundle: Bundle, url: str, *, name: str | None = None, timeout_s: float = TIMEOUT_S) -> Localizer:
    """A localizer whose graphs run in a server. Requests that fail raise PunctumError.

    Args:
        bundle: the bundle that the repository was written from.
        url: "host:port" of the server's gRPC service.
        name: of the repository, if it is not that of the bundle.
        timeout_s: of a request, in seconds.

    Raises:
        InputError: the server does not answer, has no such models, or serves another bundle.
    """
    parts: list[Part] = ["locator"] if bundle.manifest.center is None else ["locator", "center"]
    models = [_open(bundle, url, part, name, timeout_s) for part in parts]
    backend = OnnxBackend(
        models[0],
        models[1] if len(models) > 1 else None,
        classes=len(bundle.labels),
        dim=bundle.manifest.features.dim,
        # Arrays are passed through this machine's memory, hence device "cpu".
        spec=EngineSpec(precision=models[0].parameter("punctum.precision")),
    )
    backend.requested = backend.actual = f"triton:{url}"
    return Localizer.around(backend, bundle)


def open_backbone(bundle: Bundle, url: str, *, name: str | None = None, timeout_s: float = TIMEOUT_S) -> VideoBackbone:
    """The bundle's backbone in the server, for `sources.video.open_video`. Its fingerprint is checked in the server.

    Args:
        bundle: see `open_localizer`.
        url: see `open_localizer`.
        name: see `open_localizer`.
        timeout_s: see `open_localizer`.

    Raises:
        InputError: see `open_localizer`; also if the bundle has no backbone.
    """
    if bundle.manifest.backbone is None:
        raise no_backbone(bundle.id)
    model = _open(bundle, url, "backbone", name, timeout_s)
    graphs = bundle.graphs(model.parameter("punctum.precision"))
    if graphs.backbone is None or graphs.backbone_spec is None:
        raise no_backbone(bundle.id)
    backbone = VideoBackbone.from_graph(
        graphs.backbone.data,
        graphs.backbone_spec,
        name=bundle.source,
        engine_spec=EngineSpec(precision=graphs.precision),
        runner=model,
    )
    backbone.requested = backbone.actual = f"triton:{url}"
    return backbone


def _open(bundle: Bundle, url: str, part: Part, name: str | None, timeout_s: float) -> TritonModel:
    try:
        from tritonclient import grpc
    except ImportError:
        raise InputError(
            "missing-dependency", "Tritonclient is not installed", "", "pip install 'tritonclient[grpc]'"
        ) from None
    client = grpc.InferenceServerClient(url)
    try:
        client.is_server_live(client_timeout=timeout_s)
    except grpc.InferenceServerException as error:
        raise InputError(
            "triton-unreachable",
            f"No Triton server answers at {url} ({error.message()})",
            "host:port of its gRPC service, 8001 by default",
            "check the address, and the server's log",
        ) from None
    model = TritonModel(grpc, client, model_name(name or bundle.manifest.name, part), timeout_s=timeout_s)
    served = model.parameter("punctum.bundle")
    if served != bundle.id:
        raise InputError(
            "triton-bundle",
            f"{model.name} at {url} serves {served or 'a model that is not of punctum'}",
            bundle.id,
            "use the bundle that the repository was written from, or export it again",
        )
    return model


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the events of a feature file as JSON Lines. Returns the exit code: 2 for bad input, 1 for a failure."""
    parser = argparse.ArgumentParser(description="Events of a feature file, the graphs running in a Triton server.")
    parser.add_argument("bundle", help="bundle that the repository was written from")
    parser.add_argument("features", help="features (.npy), float32 [T, D]")
    parser.add_argument("--url", default="localhost:8001", help="host:port of the server's gRPC service")
    parser.add_argument("--expect-sha256", help="refuse the bundle unless this is its SHA-256")
    parser.add_argument("--name", help="name of the repository, if it is not that of the bundle")
    given = parser.parse_args(arguments)
    try:
        localizer = open_localizer(
            Bundle.load(given.bundle, expect_sha256=given.expect_sha256), given.url, name=given.name
        )
        try:
            features = np.load(given.features, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError("features", f"{given.features}: {error}", "a .npy file", "check the path") from None
        for event in localizer.localize(features):
            print(event.to_json())
    except PunctumError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
