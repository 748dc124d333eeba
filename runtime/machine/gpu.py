"""NVIDIA driver, GPUs and TensorRT."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

from .findings import Facts
from .host import Host
from .libraries import DRIVER, needs_of, remedy, try_library
from .onnxruntime import Build

_GPU = ("cuda", "tensorrt", "ort-tensorrt")
_MIN_DRIVER = {12: 525, 13: 580}  # major version of CUDA -> oldest driver branch that supports it


def examine_driver(host: Host, facts: Facts, build: Build | None, *, jetson: bool) -> None:
    """libcuda, the kernel module and the devices; a problem where GPUs are hidden or the driver is too old."""
    library = try_library(host, DRIVER)
    version = re.search(r"Kernel Module.*?\b(\d{3,})\.([\d.]+)", host.text("/proc/driver/nvidia/version"))
    devices = sorted(p.name for p in host.path("/dev").glob("nvidia[0-9]*"))
    devices += [name for name in ("dxg", "nvhost-gpu", "nvgpu") if host.path(f"/dev/{name}").exists()]
    facts.record(
        "NVIDIA",
        driver_library="loads" if library.loads else library.error,
        driver=f"{version[1]}.{version[2]}" if version else "none",
        devices=", ".join(devices) or "none",
    )
    if not library.loads:
        facts.problem(
            "NVIDIA",
            f"the driver library {DRIVER} does not load ({library.error.removeprefix(f'{DRIVER}: ')})",
            remedy(DRIVER, jetson=jetson),
            devices=_GPU,
        )
    elif host.local:
        _query_driver(facts)
    wanted = int(build.cuda.split(".")[0]) if build is not None and build.cuda[:1].isdigit() else 0
    oldest = _MIN_DRIVER.get(wanted, 0)
    if version and not jetson and int(version[1]) < oldest:
        facts.problem(
            "NVIDIA",
            f"driver {version[1]}.{version[2]} is too old for {build.package if build else ''} built for CUDA {wanted}",
            f"install driver {oldest} or newer, or an onnxruntime-gpu built for an older CUDA",
            devices=("cuda", "ort-tensorrt"),
        )
    hidden = host.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and hidden.strip() in ("", "-1", "none"):
        facts.problem(
            "NVIDIA", f"CUDA_VISIBLE_DEVICES={hidden!r} hides every GPU", "unset CUDA_VISIBLE_DEVICES", devices=_GPU
        )


def gpu_count() -> int:
    """GPUs that the driver shows to this process; 0 without a driver."""
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return 0
    count = ctypes.c_int()
    return 0 if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) else count.value


def _query_driver(facts: Facts) -> None:
    """The driver's own report: its CUDA version and the GPUs that this process may use."""
    driver = ctypes.CDLL(DRIVER)
    number = ctypes.c_int()
    if driver.cuDriverGetVersion(ctypes.byref(number)) == 0:
        facts.add("NVIDIA", {"CUDA of the driver": f"{number.value // 1000}.{number.value % 1000 // 10}"})
    status = driver.cuInit(0)
    if status != 0:
        facts.problem(
            "NVIDIA",
            f"the driver does not start (cuInit returned {status})",
            "check dmesg; restart after a driver update",
            devices=_GPU,
        )
        return
    driver.cuDeviceGetCount(ctypes.byref(number))
    names = []
    for k in range(number.value):
        text = ctypes.create_string_buffer(128)
        if driver.cuDeviceGetName(text, len(text), k) == 0:
            names.append(f"{k}: {text.value.decode('utf-8', 'replace')}")
    facts.add("NVIDIA", {"GPUs": "; ".join(names) or "none"})
    if not names:
        facts.problem("NVIDIA", "the driver finds no GPU", "check CUDA_VISIBLE_DEVICES and nvidia-smi", devices=_GPU)


def examine_tensorrt(host: Host, facts: Facts, packages: dict[str, str], build: Build | None) -> bool:
    """Which TensorRT ONNX Runtime links to, which is installed as a package, and which as a system library.

    Returns:
        Whether TensorRT for RTX is the only one.
    """
    wheels = {name: version for name, version in packages.items() if name.startswith("tensorrt")}
    plain = {name: version for name, version in wheels.items() if not name.startswith("tensorrt-rtx")}
    system = host.libraries("libnvinfer.so.[0-9]*")
    majors = {int(m[1]) for path in system if (m := re.match(r"libnvinfer\.so\.(\d+)", path.name))}
    majors |= {int(version.split(".")[0]) for version in plain.values() if version.split(".")[0].isdigit()}
    linked = _linked_major(host, build)
    rtx = sorted({version for name, version in wheels.items() if name.startswith("tensorrt-rtx")})
    facts.record(
        "TensorRT",
        packages=", ".join(f"{name} {version}" for name, version in wheels.items()) or "none",
        system_libraries=", ".join(path.name for path in system) or "none",
        installed_versions=", ".join(map(str, sorted(majors))) or "none",
        version_linked_by_ONNX_Runtime=linked or "none",
        tensorrt_rtx=", ".join(rtx) or "none",
    )
    if linked and majors and linked not in majors:
        facts.problem(
            "TensorRT",
            f"ONNX Runtime's TensorRT provider links to TensorRT {linked}; installed is {', '.join(map(str, majors))}",
            f'install TensorRT {linked}, or use `device="tensorrt"`, which uses the installed version',
            devices=("ort-tensorrt",),
        )
    if not majors and not rtx:
        facts.problem(
            "TensorRT",
            "neither tensorrt nor tensorrt_rtx is installed",
            "install JetPack on a Jetson; elsewhere: pip install tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings",
            devices=("tensorrt",),
        )
    return bool(rtx) and not majors


def _linked_major(host: Host, build: Build | None) -> int:
    file: Path | None = None if build is None else build.providers.get("ort-tensorrt")
    names = [] if file is None else [library.name for library in needs_of(host, file)]
    return next((int(m[1]) for name in names if (m := re.fullmatch(r"libnvinfer\.so\.(\d+)", name))), 0)
