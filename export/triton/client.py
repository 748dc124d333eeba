"""The session of a stream here, the graphs of its bundle in a Triton server.

    pip install 'tritonclient[grpc]'
    python client.py BUNDLE features.npy --url localhost:8001        # events as JSON, one a line

or in a program:

    from punctum.runtime import Bundle
    localizer = open_localizer(Bundle.load("bundle/"), "localhost:8001")
    session = localizer.session(stream="cam-1")
    for event in session.push(features): ...

This file imports nothing of its neighbours, so a copy of it works wherever punctum is installed; ONNX Runtime is not
needed there.
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
from punctum.runtime.backends.options import Device
from punctum.runtime.bundle.precision import Part
from punctum.runtime.errors import InputError, PunctumError

Array = npt.NDArray[Any]
TIMEOUT_S = 30.0


def model_name(name: str, part: Part) -> str:
    """What a part of a bundle is called in the server."""
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '-', name).strip('-') or 'punctum'}_{part}"


@dataclass(frozen=True, slots=True)
class _Tensor:
    """As ONNX Runtime describes an input or output."""

    name: str
    shape: list[int | str]
    type: str


class TritonModel:
    """One model of a server, called as a session of ONNX Runtime is.

    Safe to share between threads, one request at a time; open one localizer a thread where the server shall join
    requests of several.
    """

    def __init__(self, grpc: Any, client: Any, name: str, *, timeout_s: float) -> None:
        self._grpc, self._client, self.name, self._timeout_s = grpc, client, name, timeout_s
        self._lock = threading.Lock()
        try:
            self.config = client.get_model_config(name, client_timeout=timeout_s).config
        except grpc.InferenceServerException as error:
            raise InputError(
                "triton-model",
                f"the server has no model {name} that is ready ({error.message()})",
                "the models of a repository that `punctum export --triton` wrote",
                "give the server its folder, or pass the name that it was exported with",
            ) from None
        self._most = int(self.config.max_batch_size)

    def parameter(self, key: str) -> str:
        """What the repository says about itself."""
        return str(self.config.parameters[key].string_value) if key in self.config.parameters else ""

    def get_inputs(self) -> list[_Tensor]:
        return [self._tensor(t) for t in self.config.input]

    def get_outputs(self) -> list[_Tensor]:
        return [self._tensor(t) for t in self.config.output]

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """Arrays by input name -> outputs by name; more than the server takes at a time goes in several requests."""
        count = len(next(iter(feeds.values())))
        if not self._most or count <= self._most:
            return self._request(outputs, feeds)
        parts = [
            self._request(outputs, {name: array[low : low + self._most] for name, array in feeds.items()})
            for low in range(0, count, self._most)
        ]
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    def _request(self, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        given = []
        for name, array in feeds.items():
            tensor = self._grpc.InferInput(name, array.shape, {"f": "FP32", "i": "INT64"}[array.dtype.kind])
            tensor.set_data_from_numpy(np.ascontiguousarray(array))
            given.append(tensor)
        wanted = [self._grpc.InferRequestedOutput(name) for name in outputs]
        with self._lock:
            try:
                made = self._client.infer(self.name, given, outputs=wanted, client_timeout=self._timeout_s)
            except self._grpc.InferenceServerException as error:
                raise PunctumError(
                    "triton-failed",
                    f"{self.name}: {error.message()}",
                    f"an answer within {self._timeout_s:g} s",
                    "see the server's log",
                ) from None
        return [made.as_numpy(name) for name in outputs]

    def _tensor(self, tensor: Any) -> _Tensor:
        stack: list[int | str] = ["N"] if self._most else []
        kinds = {"TYPE_FP32": "float", "TYPE_INT64": "int64"}
        kind = type(tensor).DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number[tensor.data_type].name
        dims = [int(n) if n >= 0 else f"{tensor.name}_{axis}" for axis, n in enumerate(tensor.dims)]
        return _Tensor(tensor.name, [*stack, *dims], f"tensor({kinds.get(kind, kind)})")


def open_localizer(bundle: Bundle, url: str, *, name: str | None = None, timeout_s: float = TIMEOUT_S) -> Localizer:
    """A localizer whose graphs run in the server at `url` ("host:port" of gRPC).

    name: what the repository was exported under, where that is not the bundle's. Raises InputError for a server that
    does not answer, has no such models, or serves another bundle; a request that fails raises PunctumError.
    """
    parts: list[Part] = ["locator"] if bundle.manifest.center is None else ["locator", "center"]
    models = [_open(bundle, url, part, name, timeout_s) for part in parts]
    manifest = bundle.manifest
    backend = OnnxBackend(
        models[0],
        models[1] if len(models) > 1 else None,
        classes=len(bundle.labels),
        dim=manifest.features.dim,
        device=Device("cpu"),  # arrays go and come through this machine's memory
        requested=f"triton:{url}",
        precision=models[0].parameter("punctum.precision"),
    )
    backend.actual = backend.requested
    return Localizer.from_parts(
        backend,
        labels=bundle.labels,
        dim=manifest.features.dim,
        stride_s=manifest.features.stride_s,
        post=manifest.post,
        receptive_field=(manifest.locator.left, manifest.locator.right),
        bundle_id=bundle.id,
        overhang_s=0.0 if manifest.backbone is None else manifest.backbone.overhang_s,
    )


def open_backbone(bundle: Bundle, url: str, *, name: str | None = None, timeout_s: float = TIMEOUT_S) -> VideoBackbone:
    """The bundle's backbone in the server, its fingerprint checked over the wire; for `sources.video.open_video`.

    Raises InputError as `open_localizer`, and for a bundle without one.
    """
    spec = bundle.manifest.backbone
    if spec is None:
        raise no_backbone(bundle.id)
    model = _open(bundle, url, "backbone", name, timeout_s)
    precision = model.parameter("punctum.precision")
    variant = bundle.manifest.precision.get(precision)
    if variant is not None and "backbone" in variant.files:
        spec = spec.model_copy(update={"fingerprint": variant.fingerprint})
    return VideoBackbone.from_graph(
        bundle.graph("backbone", precision),
        spec,
        name=bundle.source,
        device=f"triton:{url}",
        precision=precision,
        session=model,
    )


def _open(bundle: Bundle, url: str, part: Part, name: str | None, timeout_s: float) -> TritonModel:
    try:
        from tritonclient import grpc
    except ImportError:
        raise InputError(
            "missing-dependency", "tritonclient is not installed", "", "pip install 'tritonclient[grpc]'"
        ) from None
    client = grpc.InferenceServerClient(url)
    try:
        client.is_server_live(client_timeout=timeout_s)
    except grpc.InferenceServerException as error:
        raise InputError(
            "triton-unreachable",
            f"no Triton server answers at {url} ({error.message()})",
            "host:port of its gRPC service, 8001 by default",
            "check the address, and the server's log",
        ) from None
    model = TritonModel(grpc, client, model_name(name or bundle.manifest.name, part), timeout_s=timeout_s)
    served = model.parameter("punctum.bundle")
    if served != bundle.id:
        raise InputError(
            "triton-bundle",
            f"{model.name} at {url} serves {served or 'no bundle of punctum'}",
            bundle.id,
            "load the bundle that the repository was made of, or export it again",
        )
    return model


def main(arguments: Sequence[str] | None = None) -> int:
    """Events of one file of features, as JSON Lines; 2 for bad input, 1 for a failure, with one line of why."""
    parser = argparse.ArgumentParser(description="Events of a feature file, the graphs running in a Triton server.")
    parser.add_argument("bundle", help="the bundle that the repository was made of")
    parser.add_argument("features", help=".npy, float32 [T, D]")
    parser.add_argument("--url", default="localhost:8001", help="gRPC address of the server")
    parser.add_argument("--expect-sha256", help="refuse the bundle unless this is its SHA-256")
    parser.add_argument("--name", help="name that the repository was exported with, if another than the bundle's")
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
