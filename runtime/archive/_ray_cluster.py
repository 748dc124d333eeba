"""A Ray cluster to work on: one that runs, or one of this process on this machine."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..errors import InputError, MissingDependencyError
from ..machine.cores import whole_cores

if TYPE_CHECKING:
    from ._options import ArchiveOptions

CONNECT_S = 5.0
_HTTP2_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # and empty settings
# What Ray says by itself is about its own insides; a user who wants it sets these before.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DATA_LOG_LEVEL": "CRITICAL",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
}
# A cluster of our own listens on the loopback address only. Ray reads this when it is imported.
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


@contextlib.contextmanager
def connected(options: ArchiveOptions) -> Iterator[int]:
    """Be connected to the cluster of `options`; yields how many workers it has room for.

    A connection that this process holds already is used and stays. Without an address, RAY_ADDRESS counts; without
    that, a cluster is started on this machine and ends with the block. Raises MissingDependencyError without Ray,
    InputError for a cluster that cannot be reached and for one without room for a worker.
    """
    _check(options)
    address = options.address or os.environ.get("RAY_ADDRESS") or "local"
    if address not in ("local", "auto"):
        _reach(address)
    with _quiet(_QUIET | _LOOPBACK if address == "local" else _QUIET):
        ray = load_ray()
        ours = not ray.is_initialized()
        if ours:
            _open(ray, address, options)
        try:
            yield _room(ray, options)
        finally:
            if ours:
                ray.shutdown()


def load_ray() -> Any:
    """Ray with Ray Data. Raises MissingDependencyError."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingDependencyError(error.name or "ray", "ray", "--engine ray") from None
    return ray


def _check(options: ArchiveOptions) -> None:
    kind, _, index = options.device.partition(":")
    if kind in ("cuda", "tensorrt", "ort-tensorrt") and not options.gpus:
        raise InputError(
            "needs-gpus",
            f"device {options.device} on Ray without a share of a GPU",
            "1 for a GPU a worker, 0.25 for four workers on one",
            "set --gpus-per-worker",
        )
    if index:
        raise InputError(
            "device",
            f"device {options.device} on Ray",
            f"{kind}: Ray shows every worker the GPU that it is to use",
            f"set --device {kind}",
        )


def _reach(address: str) -> None:
    """Ray itself tries for minutes: see first whether anything listens, and whether it speaks HTTP/2 as Ray does."""
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdigit():
        raise InputError(
            "ray-address",
            f"address {address}",
            "auto, or HOST:PORT as `ray start --head` shows it",
            "run on a node of the cluster, or through `ray job submit`",
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S) as line:
            if os.environ.get("RAY_USE_TLS", "0") in ("", "0"):
                line.sendall(_HTTP2_HELLO)
                if line.recv(9)[3:4] != b"\x04":  # the type of its first frame: settings
                    raise OSError("what listens there is no Ray cluster")
    except (OSError, OverflowError) as error:
        raise _unreachable(address, str(error)) from None


def _unreachable(address: str, cause: str) -> InputError:
    return InputError(
        "ray-unreachable",
        f"no Ray cluster at {address} ({cause})",
        "a cluster that runs, of the same version of Ray",
        "start one with `ray start --head`, correct --address, or leave it out to work on this machine",
    )


def _open(ray: Any, address: str, options: ArchiveOptions) -> None:
    own: dict[str, Any] = {}
    if address == "local":
        own = {"num_cpus": max(whole_cores(), options.workers * options.threads), "include_dashboard": False}
    try:
        with _mute():
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", **own)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, OSError, ray.exceptions.RayError) as error:
        causes = f"{error}\n{error.__cause__ or ''}"
        if "AuthToken" in causes or "authentication" in causes.lower():
            raise InputError(
                "ray-token",
                f"the Ray cluster at {address} asks for a token",
                "the token of the cluster, in RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token",
                "set RAY_AUTH_MODE=token and run again",
            ) from None
        raise _unreachable(address, (causes.strip().splitlines() or [type(error).__name__])[0][:300]) from None


def _room(ray: Any, options: ArchiveOptions) -> int:
    """Workers that fit on the nodes there are now."""
    need = needs(options)
    names = {"num_cpus": "CPU", "num_gpus": "GPU"}
    room = 0
    for node in ray.nodes():
        if node["Alive"]:
            room += min(int(node["Resources"].get(names[key], 0.0) / share + 1e-9) for key, share in need.items())
    if not room:
        total = ray.cluster_resources()
        raise InputError(
            "ray-room",
            f"a cluster of {total.get('CPU', 0):g} CPUs and {total.get('GPU', 0):g} GPUs, and no node with "
            + " and ".join(f"{share:g} {names[key]}" for key, share in need.items()),
            "room for a worker on one node at least; a cluster that grows by itself keeps one such node",
            "change --threads or --gpus-per-worker, or add a node",
        )
    return room


def needs(options: ArchiveOptions) -> dict[str, float]:
    """What a worker reserves, as Ray's options. Beside a share of a GPU, cores are not counted."""
    return {"num_gpus": options.gpus} if options.gpus else {"num_cpus": float(options.threads)}


@contextlib.contextmanager
def _quiet(settings: dict[str, str]) -> Iterator[None]:
    """Nothing of Ray's on standard output, which is the command's; its reports of dead workers go to standard error."""
    unset = [name for name in settings if name not in os.environ]
    os.environ.update({name: settings[name] for name in unset})
    logger = logging.getLogger("ray.data")
    level = logger.level
    if "RAY_DATA_LOG_LEVEL" in unset:
        logger.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"ray\b")
            warnings.filterwarnings("ignore", message=".*ray_remote_args")
            warnings.filterwarnings("ignore", message=".*accelerator visible devices")
            yield
    finally:
        logger.setLevel(level)
        for name in unset:
            os.environ.pop(name, None)


@contextlib.contextmanager
def _mute() -> Iterator[None]:
    """Ray's native part says on standard error that it has been told to be quiet. What fails is raised."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
