"""NVIDIA's side: driver, devices, TensorRT."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

from .findings import Facts
from .libraries import DRIVER, needs_of, remedy, try_library
from .onnxruntime import Build
from .world import World

_GPU = ("cuda", "tensorrt", "ort-tensorrt")
_OLDEST = {12: 525, 13: 580}  # major version of CUDA -> oldest driver branch that runs it


def examine_driver(world: World, facts: Facts, build: Build | None, *, jetson: bool) -> None:
    """libcuda, the kernel module, the devices; a problem for GPUs that are hidden and for a driver that is too old."""
    library = try_library(world, DRIVER)
    version = re.search(r"Kernel Module.*?\b(\d{3,})\.([\d.]+)", world.text("/proc/driver/nvidia/version"))
    devices = sorted(p.name for p in world.path("/dev").glob("nvidia[0-9]*"))
    devices += [name for name in ("dxg", "nvhost-gpu", "nvgpu") if world.path(f"/dev/{name}").exists()]
    facts.say(
        "NVIDIA",
        driver_library="loads" if library.loads else library.error,
        driver=f"{version[1]}.{version[2]}" if version else "none",
        devices=", ".join(devices) or "none",
    )
    if not library.loads:
        facts.problem(
            "NVIDIA",
            f"the driver's {DRIVER} does not load ({library.error.removeprefix(f'{DRIVER}: ')})",
            remedy(DRIVER, jetson=jetson),
            devices=_GPU,
        )
    elif world.live:
        _ask_driver(facts)
    wanted = int(build.cuda.split(".")[0]) if build is not None and build.cuda[:1].isdigit() else 0
    oldest = _OLDEST.get(wanted, 0)
    if version and not jetson and int(version[1]) < oldest:
        facts.problem(
            "NVIDIA",
            f"driver {version[1]}.{version[2]} is too old for {build.package if build else ''} built for CUDA {wanted}",
            f"a driver of at least {oldest}, or an onnxruntime-gpu built for an older CUDA",
            devices=("cuda", "ort-tensorrt"),
        )
    hidden = world.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and hidden.strip() in ("", "-1", "none"):
        facts.problem(
            "NVIDIA", f"CUDA_VISIBLE_DEVICES={hidden!r} hides every GPU", "unset CUDA_VISIBLE_DEVICES", devices=_GPU
        )


def _ask_driver(facts: Facts) -> None:
    """What the driver itself says: its CUDA version and the GPUs that this process may use."""
    driver = ctypes.CDLL(DRIVER)
    number = ctypes.c_int()
    if driver.cuDriverGetVersion(ctypes.byref(number)) == 0:
        facts.add("NVIDIA", {"CUDA of the driver": f"{number.value // 1000}.{number.value % 1000 // 10}"})
    status = driver.cuInit(0)
    if status != 0:
        facts.problem(
            "NVIDIA",
            f"the driver does not start (cuInit returned {status})",
            "see dmesg; restart after a driver update",
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


def examine_tensorrt(world: World, facts: Facts, packages: dict[str, str], build: Build | None) -> bool:
    """Which TensorRT is linked by ONNX Runtime, which is installed as a wheel, which lies in the system. Returns
    whether TensorRT for RTX is the only one."""
    wheels = {name: version for name, version in packages.items() if name.startswith("tensorrt")}
    plain = {name: version for name, version in wheels.items() if not name.startswith("tensorrt-rtx")}
    system = world.libraries("libnvinfer.so.[0-9]*")
    majors = {int(m[1]) for path in system if (m := re.match(r"libnvinfer\.so\.(\d+)", path.name))}
    majors |= {int(version.split(".")[0]) for version in plain.values() if version.split(".")[0].isdigit()}
    linked = _linked_major(world, build)
    rtx = sorted({version for name, version in wheels.items() if name.startswith("tensorrt-rtx")})
    facts.say(
        "TensorRT",
        wheels=", ".join(f"{name} {version}" for name, version in wheels.items()) or "none",
        system_libraries=", ".join(path.name for path in system) or "none",
        majors_installed=", ".join(map(str, sorted(majors))) or "none",
        major_that_ONNX_Runtime_links=linked or "none",
        tensorrt_rtx=", ".join(rtx) or "none",
    )
    if linked and majors and linked not in majors:
        facts.problem(
            "TensorRT",
            f"ONNX Runtime's TensorRT provider links TensorRT {linked}; installed is {', '.join(map(str, majors))}",
            f"TensorRT {linked} for ort-tensorrt, or --device tensorrt, which takes what is installed",
            devices=("ort-tensorrt",),
        )
    if not majors and not rtx:
        facts.problem(
            "TensorRT",
            "neither tensorrt nor tensorrt_rtx is installed",
            "JetPack brings TensorRT; elsewhere pip install tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings",
            devices=("tensorrt",),
        )
    return bool(rtx) and not majors


def _linked_major(world: World, build: Build | None) -> int:
    file: Path | None = None if build is None else build.providers.get("ort-tensorrt")
    names = [] if file is None else [library.name for library in needs_of(world, file)]
    return next((int(m[1]) for name in names if (m := re.fullmatch(r"libnvinfer\.so\.(\d+)", name))), 0)
