"""One interface to three libraries with their differences: `tensorrt` 10, `tensorrt` 11 and `tensorrt_rtx`.

tensorrt 10 types a network strongly on request; 11 and RTX always do, and 11 dropped the flags for precision.
tensorrt builds for the device in use and keeps the timings of kernels between builds; RTX builds for compute
capabilities by name, without a device, and compiles kernels when it first runs them (its timing cache has no effect).
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any, Literal

from ...errors import InputError, PunctumError
from ..failures import failure_text

Choice = Literal["auto", "tensorrt", "tensorrt_rtx"]
NAMES = ("tensorrt", "tensorrt_rtx")
MAJORS = {"tensorrt": (10, 11), "tensorrt_rtx": (1,)}
# The bindings need libraries from another package, which its import loads. The last name is the API.
_MODULES = {
    "tensorrt": (("tensorrt",), ("tensorrt_libs", "tensorrt_bindings")),
    "tensorrt_rtx": (("tensorrt_rtx",), ("tensorrt_rtx_libs", "tensorrt_rtx_bindings")),
}
_INSTALL = {
    "tensorrt": "install TensorRT 10 or 11 as NVIDIA documents it (on a Jetson it is part of JetPack; a virtual "
    "environment needs --system-site-packages to use it)",
    "tensorrt_rtx": "pip install tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings",
}
_MAX_MESSAGES = 50  # the last ones explain a failure


@dataclass(slots=True)
class Messages:
    """Messages of the library, oldest first. One object for each builder or runtime."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, text: str, *, error: bool) -> None:
        messages = self.errors if error else self.warnings
        if text not in messages:
            messages.append(text)
        del messages[:-_MAX_MESSAGES]

    def last(self) -> str:
        """The last errors on one line; "no reason given" if there are none."""
        return "; ".join(self.errors[-3:])[:600] or "no reason given"


@dataclass(frozen=True, slots=True)
class Library:
    """An imported library.

    Attributes:
        name: One of `NAMES`.
        version: The version that it reports.
        api: Its module.
    """

    name: str
    version: str
    api: Any

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def rtx(self) -> bool:
        return self.name == "tensorrt_rtx"

    @property
    def network_flags(self) -> int:
        """Flags for `create_network`: strong typing where it is not the default."""
        if self.rtx or self.major >= 11:
            return 0
        return 1 << int(self.api.NetworkDefinitionCreationFlag.STRONGLY_TYPED)

    @property
    def capabilities(self) -> dict[str, Any]:
        """Compute capabilities for which it builds by name, "8.9" -> its constant. Empty: only that of the device."""
        kinds = getattr(getattr(self.api, "ComputeCapability", None), "__members__", {}) if self.rtx else {}
        constants = {f"{name[2:-1]}.{name[-1]}": kind for name, kind in kinds.items() if name[:2] == "SM"}
        return dict(sorted(constants.items(), key=lambda item: tuple(map(int, item[0].split(".")))))

    @property
    def keeps_timings(self) -> bool:
        return not self.rtx

    def logger(self) -> tuple[Any, Messages]:
        """A logger for the library, and the messages that it collects."""
        messages = Messages()
        base: Any = self.api.ILogger
        severity = base.Severity

        class Log(base):  # type: ignore[misc]  # the library is known at run time only
            def __init__(self) -> None:
                base.__init__(self)

            def log(self, level: Any, text: str) -> None:
                if level in (severity.INTERNAL_ERROR, severity.ERROR):
                    messages.add(text, error=True)
                elif level == severity.WARNING:
                    messages.add(text, error=False)

        return Log(), messages


def load_library(choice: str = "auto") -> Library:
    """Import a library by name; "auto" takes the first of `NAMES` that is installed.

    Raises:
        InputError: An unknown name, a library that is not installed or lacks a shared library, an unsupported version.
    """
    if choice not in ("auto", *NAMES):
        raise InputError(
            "engine-library", f"Unknown library {choice!r}", f"auto, {', '.join(NAMES)}", "correct `library`"
        )
    failures: dict[str, str] = {}
    for name in NAMES if choice == "auto" else (choice,):
        library = _import(name, failures)
        if library is not None:
            return _checked(library)
    wanted = "TensorRT" if choice == "auto" else choice
    broken = [text for text in failures.values() if text]
    why = f"{wanted} cannot be loaded ({'; '.join(broken)})" if broken else f"{wanted} is not installed"
    steps = [_INSTALL[name] for name in failures]
    raise InputError(
        "missing-dependency", why, required="tensorrt 10 or 11, or tensorrt_rtx 1", next_step=", or ".join(steps)
    )


def installed_libraries() -> list[Library]:
    """All libraries that can be imported here, in the order of `NAMES`, of any version."""
    failures: dict[str, str] = {}
    return [library for name in NAMES if (library := _import(name, failures)) is not None]


def _import(name: str, failures: dict[str, str]) -> Library | None:
    for modules in _MODULES[name]:
        try:
            for module in modules:
                api = importlib.import_module(module)
        except ModuleNotFoundError as error:
            failures.setdefault(name, "" if error.name in modules else str(error))
            continue
        except (ImportError, OSError, RuntimeError) as error:  # a shared library is missing or of another version
            failures[name] = f"{name}: {failure_text(error)}"
            continue
        version = str(getattr(api, "__version__", ""))
        if hasattr(api, "Builder") and version[:1].isdigit():
            return Library(name, version, api)
        failures[name] = f"{name} from {getattr(api, '__file__', 'somewhere')} is not TensorRT"
    return None


def _checked(library: Library) -> Library:
    allowed = MAJORS[library.name]
    if library.major not in allowed:
        raise InputError(
            "engine-library-version",
            f"{library.name} {library.version} is not supported",
            f"{library.name} {' or '.join(map(str, allowed))}",
            _INSTALL[library.name],
        )
    return library


def pick_capabilities(library: Library, wanted: tuple[str, ...], device: str | None) -> tuple[str, ...]:
    """Compute capabilities to build for, as "8.9": the requested ones, or that of the device.

    Args:
        library: The library that builds.
        wanted: The requested capabilities.
        device: The capability of the GPU here; None without one.

    Raises:
        InputError: A capability for which the library cannot build, with those for which it can; nothing requested and
            no GPU here; or as `check_runs_on`.
    """
    supported = library.capabilities
    for capability in wanted:
        if capability in supported or (not supported and capability == device):
            continue
        if supported:
            given, allowed = f"{library.name} {library.version} cannot build for {capability}", ", ".join(supported)
            step = "leave it out; for a Jetson run `punctum build --library tensorrt` on the Jetson itself"
        else:
            given = f"{library.name} builds only for the GPU it runs on ({device or 'none here'}), not for {capability}"
            allowed = device or "a machine with that GPU"
            step = 'run `punctum build` on the target machine, or use `library="tensorrt_rtx"`'
        raise InputError("compute-capability", given, allowed, step)
    if wanted:
        return tuple(dict.fromkeys(wanted))
    if device is None:
        raise InputError(
            "compute-capability",
            f"There is no GPU here, and no compute capability was given for {library.name}",
            ", ".join(supported),
            "set `capabilities`, for example to 8.9"
            if supported
            else 'run `punctum build` on the target machine, or use `library="tensorrt_rtx"`',
        )
    check_runs_on(library, device)
    return (device,)


def check_runs_on(library: Library, device: str) -> None:
    """Raise InputError for a GPU, by its compute capability, on which no engine of the library runs.

    RTX builds an engine for "the current device" all the same, and then refuses to load it: observed with RTX 1.7 on an
    H200.
    """
    supported = library.capabilities
    if supported and device not in supported:
        raise InputError(
            "compute-capability",
            f"{library.name} {library.version} does not run on the GPU here (compute capability {device})",
            ", ".join(supported),
            'use `library="tensorrt"` (10 or 11) or `device="cuda"`; for engines of another machine set `capabilities`',
        )


def library_error(code: str, what: str, messages: Messages, *, required: str = "", next_step: str = "") -> PunctumError:
    """An error that quotes the last messages of the library."""
    return PunctumError(code, f"{what}: {messages.last()}", required=required, next_step=next_step)
