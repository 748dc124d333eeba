"""punctum doctor against installations that are folders, and against this machine."""

from __future__ import annotations

import io
import json
import struct
import sys
from pathlib import Path

import pytest
from punctum.runtime.backends.onnxruntime.session import unavailable
from punctum.runtime.backends.options import Device, EngineSpec
from punctum.runtime.backends.tensorrt import cuda
from punctum.runtime.backends.tensorrt.key import Gpu
from punctum.runtime.cli import invoke
from punctum.runtime.cli.doctor import show
from punctum.runtime.doctor import examine
from punctum.runtime.doctor.run import _examine_rtx
from punctum.runtime.errors import InputError
from punctum.runtime.machine.cores import quota_cores
from punctum.runtime.machine.elf import needed
from punctum.runtime.machine.examine import blocking_findings
from punctum.runtime.machine.findings import Facts
from punctum.runtime.machine.host import Host
from punctum.runtime.machine.kernels import examine_cache
from rich.console import Console

ASSETS = Path(__file__).parents[2] / "runtime" / "assets"
CUDA = ("libcublas.so.13", "libcudart.so.13", "libc.so.6", "libstdc++.so.6")
TENSORRT = ("libnvinfer.so.10", "libnvonnxparser.so.10", "libc.so.6")


def elf(*needs: str) -> bytes:
    """A shared library of 64 bits that links to others: headers, a dynamic section, its strings."""
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in needs)
    entries, at = b"", 1
    for name in needs:
        entries += struct.pack("<QQ", 1, at)
        at += len(name) + 1
    place = 64 + 2 * 56
    entries += struct.pack("<QQ", 5, place + 16 * (len(needs) + 2)) + struct.pack("<QQ", 0, 0)
    data = entries + strings
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, place + len(data), place + len(data), 4096)
    dynamic = struct.pack("<IIQQQQQQ", 2, 6, place, place, place, len(entries), len(entries), 8)
    return head + load + dynamic + data


class Machine:
    """A folder laid out like a machine with one Python."""

    def __init__(self, root: Path) -> None:
        self.root, self.site, self.environ = root, root / "site", {}
        self.site.mkdir(parents=True)

    def file(self, name: str, content: str | bytes = "") -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def wheel(self, name: str, version: str) -> None:
        self.file(
            f"site/{name}-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )

    def onnxruntime(self, package="onnxruntime-gpu", version="1.32.0", cuda="13.0", *, gpu=True) -> None:
        self.wheel(package, version)
        capi = "site/onnxruntime/capi"
        self.file(f"{capi}/onnxruntime_pybind11_state.so", elf())
        about = f"package_name = '{package}'\n__version__ = '{version}'\n" + (
            f"cuda_version = '{cuda}'\n" if gpu else ""
        )
        self.file(f"{capi}/build_and_package_info.py", about)
        if gpu:
            self.file(f"{capi}/libonnxruntime_providers_cuda.so", elf(*CUDA))
            self.file(f"{capi}/libonnxruntime_providers_tensorrt.so", elf(*TENSORRT))

    def library(self, *names: str, folder="usr/lib/x86_64-linux-gnu") -> None:
        for name in names:
            self.file(f"{folder}/{name}", elf())

    def driver(self, version="580.65.06") -> None:
        self.library("libcuda.so.1")
        self.file("proc/driver/nvidia/version", f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {version}  Tue\n")
        self.file("dev/nvidia0")

    def open_driver(self, version="580.159.04") -> None:
        self.driver()
        told = f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {version}  Release Build  (dvs)\n"
        self.file("proc/driver/nvidia/version", told)

    def cuda(self) -> None:
        self.library("libcublas.so.13", "libcudart.so.13", "libcudnn.so.9")

    def host(self) -> Host:
        return Host.at(self.root, site=(str(self.site),), environ=self.environ)

    def examine(self, device="cuda", bundle=None, **spec):
        return examine(bundle, EngineSpec(device, **spec), host=self.host())


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path / "machine")


def texts(report) -> str:
    return "\n".join(f"{f.text} -> {f.fix}" for f in report.findings)


# ---------------------------------------------------------------- libraries


def test_what_a_library_links_to(tmp_path):
    file = tmp_path / "lib.so"
    file.write_bytes(elf("libfirst.so.1", "libsecond.so"))
    assert needed(file) == ["libfirst.so.1", "libsecond.so"]
    whole = file.read_bytes()
    for size in range(0, len(whole), 7):  # cut anywhere: an answer, never an error
        file.write_bytes(whole[:size])
        assert set(needed(file)) <= {"libfirst.so.1", "libsecond.so", ""} | {
            name[:k] for name in ("libfirst.so.1", "libsecond.so") for k in range(14)
        }
    file.write_text("GROUP ( libother.so )")
    assert needed(file) == []
    assert needed(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads an ELF file of this system")
def test_a_real_library():
    import numpy

    core = next((Path(numpy.__file__).parent / "_core").glob("_multiarray_umath*.so"))
    assert any(name.startswith("libc.so") or "musl" in name for name in needed(core))


# ---------------------------------------------------------------- installations


def test_a_gpu_machine_with_everything(machine):
    machine.onnxruntime()
    machine.driver()
    machine.cuda()
    machine.library("libnvinfer.so.10", "libnvonnxparser.so.10")
    report = machine.examine()
    assert report.status.runs
    assert not report.status.tried
    assert {v.device: v.runs for v in report.devices} == {
        "cpu": True,
        "cuda:0": True,
        "tensorrt": True,
        "ort-tensorrt:0": True,
    }
    assert report.sections["ONNX Runtime"]["CUDA provider"] == "its libraries load"
    assert report.sections["NVIDIA"]["driver"] == "580.65.06"


def test_the_gpu_wheel_without_cuda(machine):
    machine.onnxruntime()
    report = machine.examine()
    assert not report.status.runs
    assert "needs libcublas.so.13, libcudart.so.13, libcudnn.so.9, not loadable here" in texts(report)
    assert "libcuda.so.1 does not load" in texts(report)
    assert "libc.so.6" not in texts(report)
    assert next(v for v in report.devices if v.device == "cpu").runs


def test_cuda_from_wheels_counts(machine):
    machine.onnxruntime()
    machine.driver()
    for name in ("libcublas.so.13", "libcudart.so.13"):
        machine.library(name, folder="site/nvidia/cu13/lib")
    machine.library("libcudnn.so.9", folder="site/nvidia/cudnn/lib")
    assert machine.examine().status.runs


def test_cuda_on_the_library_path_counts(machine):
    machine.onnxruntime()
    machine.driver()
    machine.library("libcublas.so.13", "libcudart.so.13", "libcudnn.so.9", folder="opt/cuda/lib")
    assert not machine.examine().status.runs
    machine.environ["LD_LIBRARY_PATH"] = "/opt/cuda/lib"
    assert machine.examine().status.runs


def test_a_library_that_is_no_library(machine):
    machine.onnxruntime()
    machine.driver()
    machine.cuda()
    machine.file("usr/lib/x86_64-linux-gnu/libcudnn.so.9", "not one")
    report = machine.examine()
    assert not report.status.runs
    assert "needs libcudnn.so.9" in texts(report)


def test_the_cpu_wheel(machine):
    machine.onnxruntime("onnxruntime", gpu=False)
    assert machine.examine("cpu").status.runs
    report = machine.examine("cuda")
    assert not report.status.runs
    assert "pip uninstall -y onnxruntime, then pip install 'onnxruntime-gpu[cuda,cudnn]'" in texts(report)


def test_no_engine_at_all(machine):
    report = machine.examine("cpu")
    assert not report.status.runs
    assert "punctum[cpu]" in texts(report)


def test_wheels_that_overwrite_each_other(machine):
    machine.onnxruntime("onnxruntime-gpu")
    machine.wheel("onnxruntime", "1.32.0")
    machine.file(
        "site/onnxruntime/capi/build_and_package_info.py", "package_name = 'onnxruntime'\n__version__ = '1.32.0'\n"
    )
    report = machine.examine("cuda")
    assert "onnxruntime and onnxruntime-gpu are installed together" in texts(report)
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in texts(report)
    machine.wheel("nvidia_cudnn_cu12", "9.5")
    machine.wheel("nvidia-cudnn-cu13", "9.12")
    assert "nvidia-cudnn-cu12 and nvidia-cudnn-cu13" in texts(machine.examine("cuda"))


def test_the_leftovers_of_an_uninstall(machine):
    machine.file("site/onnxruntime/__init__.py")
    report = machine.examine("cpu")
    assert not report.status.runs
    assert "remains from an uninstall" in texts(report)


def test_a_driver_that_is_too_old(machine):
    machine.onnxruntime(cuda="13.0")
    machine.driver("535.104.05")
    machine.cuda()
    report = machine.examine()
    assert not report.status.runs
    assert "driver 535.104.05 is too old" in texts(report)
    machine.onnxruntime(cuda="12.8")
    assert machine.examine().status.runs


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_gpus(machine, hidden):
    machine.onnxruntime()
    machine.driver()
    machine.cuda()
    machine.environ["CUDA_VISIBLE_DEVICES"] = hidden
    report = machine.examine()
    assert not report.status.runs
    assert "hides every GPU" in texts(report)


def test_another_tensorrt_than_is_linked(machine):
    machine.onnxruntime()
    machine.driver()
    machine.cuda()
    machine.library("libnvinfer.so.11")
    report = machine.examine("ort-tensorrt")
    assert not report.status.runs
    assert "links to TensorRT 10; installed is 11" in texts(report)
    assert machine.examine("tensorrt").status.runs
    assert machine.examine("cuda").status.runs


def test_a_jetson(machine):
    machine.onnxruntime("onnxruntime", gpu=False)
    machine.file("etc/nv_tegra_release", "# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic, EABI: aarch64\n")
    machine.file("proc/device-tree/model", "NVIDIA Jetson Orin Nano Developer Kit\0")
    machine.library("libcuda.so.1", folder="usr/lib/aarch64-linux-gnu/nvidia")
    machine.library("libnvinfer.so.10", folder="usr/lib/aarch64-linux-gnu")
    report = machine.examine("tensorrt")
    assert report.status.runs
    assert "JetPack 6" in texts(report)
    assert "Orin Nano" in texts(report)
    assert not machine.examine("cuda").status.runs


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, None),
        ({"sys/fs/cgroup/cpu.max": "max 100000"}, None),
        ({"sys/fs/cgroup/cpu.max": "150000 100000"}, 1.5),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "50000 100000"}, 0.5),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/x\n3:memory:/x\n",
                "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us": "200000",
                "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us": "100000",
            },
            2.0,
        ),
        ({"sys/fs/cgroup/cpu.max": "rubbish"}, None),
    ],
)
def test_limits_of_control_groups(machine, files, cores):
    for name, content in files.items():
        machine.file(name, content)
    assert quota_cores(machine.host().text) == cores


def test_more_threads_than_cores(machine):
    machine.onnxruntime("onnxruntime", gpu=False)
    machine.file("proc/cpuinfo", "processor : 0\nmodel name : Some\n\nprocessor : 1\n")
    machine.file("sys/fs/cgroup/cpu.max", "100000 100000")
    report = machine.examine("cpu", threads=4)
    assert report.status.runs
    assert report.sections["Machine"]["usable cores"] == 1
    assert "4 threads on 1 usable cores" in texts(report)


def test_a_cache_that_cannot_be_written(machine):
    machine.file("file")
    facts = Facts()
    machine.environ["NUMBA_CACHE_DIR"] = str(machine.root / "file" / "cache")
    examine_cache(machine.host(), facts, package=machine.root)
    assert "NUMBA_CACHE_DIR" in facts.findings[0].fix
    machine.environ["NUMBA_CACHE_DIR"] = str(machine.root / "new")
    facts = Facts()
    examine_cache(machine.host(), facts, package=machine.root)
    assert not facts.findings


def test_a_bundle_is_a_finding(machine, tmp_path):
    machine.onnxruntime("onnxruntime", gpu=False)
    whole = machine.examine("cpu", bundle=ASSETS / "demo")
    assert whole.status.runs
    assert whole.sections["Bundle"]["intact"].startswith("every file")
    absent = machine.examine("cpu", bundle=tmp_path / "none")
    assert not absent.status.runs
    assert absent.sections["Bundle"]["intact"] == "no"
    other = machine.examine("cpu", bundle=ASSETS / "demo", precision="int8")
    assert not other.status.runs
    assert "int8" in texts(other)


def test_errors_of_engines_quote_the_doctor(machine, monkeypatch):
    machine.onnxruntime()
    machine.wheel("onnxruntime", "1.32.0")
    found = blocking_findings("cuda", machine.host())
    assert any("installed together" in finding.text for finding in found)
    assert blocking_findings("cpu", machine.host()) == []
    monkeypatch.setattr("punctum.runtime.machine.examine.blocking_findings", lambda kind: found)
    error = unavailable(Device("cuda"), "something vague")
    assert "libcublas.so.13" in error.given
    assert "vague" not in error.given
    assert "--gpus all" in error.next_step


# ---------------------------------------------------------------- this machine


def test_the_command_on_this_machine(capsys):
    pytest.importorskip("onnxruntime", reason="tries an engine")
    assert invoke(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["requested"], told["runs"]) == ("punctum.doctor/1", "cpu", True)
    assert told["verdict"]["tried"]
    assert told["sections"]["Packages"]["Python"] == sys.version.split()[0]
    assert invoke(["doctor", str(ASSETS / "demo")]) == 0
    out = capsys.readouterr().out
    assert "ok      device cpu runs here" in out
    assert "ran the bundle" in out


def test_exit_codes(capsys, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="tries an engine")
    assert invoke(["doctor", "--device", "gpu"]) == 2
    assert "ort-tensorrt" in capsys.readouterr().err
    assert invoke(["doctor", str(tmp_path / "none")]) == 1
    capsys.readouterr()
    assert invoke(["doctor", "--device", "auto"]) == 0
    capsys.readouterr()
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        assert invoke(["doctor", "--device", "cuda", "--json"]) == 1
        told = json.loads(capsys.readouterr().out)
        assert not told["runs"]
        assert any("cuda" in finding["devices"] for finding in told["findings"])


def test_a_device_that_does_not_exist():
    with pytest.raises(InputError, match="device"):
        examine(spec=EngineSpec("gpu"))


def test_the_version_of_an_open_kernel_module_is_read(machine):
    machine.open_driver()
    assert machine.examine().sections["NVIDIA"]["driver"] == "580.159.04"


@pytest.mark.parametrize(("capability", "fine"), [("9.0", False), ("8.9", True)])
def test_a_gpu_that_rtx_does_not_run_on(monkeypatch, capability, fine):
    pytest.importorskip("tensorrt_rtx_bindings", reason="needs tensorrt_rtx")
    monkeypatch.setattr(cuda, "gpu_here", lambda: Gpu("a GPU", capability, "580.159.04", "13.0"))
    facts = Facts()
    _examine_rtx(facts)
    assert [('device="cuda"' in finding.fix) for finding in facts.blocking("tensorrt")] == ([] if fine else [True])


@pytest.mark.parametrize(("device", "advised"), [("cpu", False), ("cuda", True), ("auto", True)])
def test_a_device_that_nobody_asked_for_has_one_line(machine, device, advised):
    machine.onnxruntime("onnxruntime", gpu=False)
    out = io.StringIO()
    show(machine.examine(device), Console(file=out, soft_wrap=True))
    text = out.getvalue()
    verdict = text[text.index("Video") :]
    assert ("fix: pip uninstall -y onnxruntime" in text) == advised
    assert verdict.count("has no CUDA provider") == (3 if device == "cuda" else 1 + advised)
    assert ("add --device and its name" in text) == (device != "auto")
    assert verdict.index("cpu: ") < verdict.index("cuda:0: ")
