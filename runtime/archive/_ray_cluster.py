"""Connection to a Ray cluster: an existing one, or a new one on this machine."""

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
# Silences Ray's own messages; users can set these variables to see them.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DATA_LOG_LEVEL": "CRITICAL",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
}
# A new cluster listens on the loopback address only. Ray reads this when it is imported.
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


@contextlib.contextmanager
def connected(options: ArchiveOptions) -> Iterator[int]:
    """Connect to the cluster of `options`.

    An existing connection of this process is used and stays open. Without an address, RAY_ADDRESS is used; without
    that, a cluster is started on this machine and shut down at the end of the block.

    Yields:
        The number of workers that the cluster can run.

    Raises:
        MissingDependencyError: Ray is not installed.
        InputError: The cluster cannot be reached, or has no resources for a worker.
    """
    _check(options)
    address = options.address or os.environ.get("RAY_ADDRESS") or "local"
    if address not in ("local", "auto"):
        _reach(address)
    with _quiet(_QUIET | _LOOPBACK if address == "local" else _QUIET):
        ray = load_ray()
        started = not ray.is_initialized()
        if started:
            _open(ray, address, options)
        try:
            yield _room(ray, options)
        finally:
            if started:
                ray.shutdown()


def load_ray() -> Any:
    """Import Ray with Ray Data. Raises MissingDependencyError."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingDependencyError(error.name or "ray", "ray", "the engine `ray`") from None
    return ray


def _check(options: ArchiveOptions) -> None:
    kind, _, index = options.device.partition(":")
    if kind in ("cuda", "tensorrt", "ort-tensorrt") and not options.gpus:
        raise InputError(
            "needs-gpus",
            f"`device` is {options.device}, but Ray workers reserve no GPU",
            required="a number of GPUs per worker: 1, or for example 0.25 for four workers on one GPU",
            next_step="set `gpus`",
        )
    if index:
        raise InputError(
            "device",
            f"`device` is {options.device}, but Ray assigns GPUs to workers",
            kind,
            f"set `device={kind}`",
        )


def _reach(address: str) -> None:
    """Check whether anything listens and speaks HTTP/2 as Ray does: Ray itself retries for minutes."""
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdigit():
        raise InputError(
            "ray-address",
            f"`address` is {address}",
            "auto, or HOST:PORT as printed by `ray start --head`",
            "run on a node of the cluster, or through `ray job submit`",
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S) as line:
            if os.environ.get("RAY_USE_TLS", "0") in ("", "0"):
                line.sendall(_HTTP2_HELLO)
                if line.recv(9)[3:4] != b"\x04":  # the type of its first frame: settings
                    raise OSError("the server there is no Ray cluster")
    except (OSError, OverflowError) as error:
        raise _unreachable(address, str(error)) from None


def _unreachable(address: str, cause: str) -> InputError:
    return InputError(
        "ray-unreachable",
        f"There is no Ray cluster at {address} ({cause})",
        required="a running cluster with the same version of Ray",
        next_step="start one with `ray start --head`, correct `address`, or leave it out to run on this machine",
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
                f"The Ray cluster at {address} requires a token",
                required="the token of the cluster, in RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token",
                next_step="set RAY_AUTH_MODE=token and run again",
            ) from None
        raise _unreachable(address, (causes.strip().splitlines() or [type(error).__name__])[0][:300]) from None


def _room(ray: Any, options: ArchiveOptions) -> int:
    """Number of workers that the current nodes can run."""
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
            f"The cluster has {total.get('CPU', 0):g} CPUs and {total.get('GPU', 0):g} GPUs, but no node has "
            + " and ".join(f"{share:g} {names[key]}" for key, share in need.items()),
            required="resources for a worker on at least one node, also in a cluster with autoscaling",
            next_step="change `threads` or `gpus`, or add a node",
        )
    return room


def needs(options: ArchiveOptions) -> dict[str, float]:
    """Resources of a worker as options of Ray: its share of a GPU, or otherwise its threads."""
    return {"num_gpus": options.gpus} if options.gpus else {"num_cpus": float(options.threads)}


@contextlib.contextmanager
def _quiet(settings: dict[str, str]) -> Iterator[None]:
    """Keep the output of Ray off standard output, which belongs to the command."""
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
    """Suppress messages of the native part of Ray on standard error. Errors are raised."""
    sys.stderr.flush()
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
