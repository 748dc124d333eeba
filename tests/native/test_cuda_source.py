"""The CUDA target without a device: its header in C, its kernels as PTX. ctest runs the rest that needs no device."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.native.prefix import ROOT, run

NATIVE = ROOT / "kernels" / "native"
INCLUDES = [f"-I{NATIVE / 'include'}", f"-I{NATIVE / 'cuda' / 'include'}", f"-I{NATIVE / 'cuda' / 'src'}"]


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_the_header_is_c(tmp_path):
    (tmp_path / "main.c").write_text("#include <punctum_cuda.h>\nint64_t sound = PUNCTUM_CUDA_SOUND;\n")
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
    run("cc", *flags, *INCLUDES, tmp_path / "main.c")


@pytest.mark.skipif(not shutil.which("nvcc"), reason="no nvcc")
def test_no_rounding_is_saved_where_decisions_fall(tmp_path):
    """A fused multiply-add rounds once where the CPU rounds twice; then equal scores would differ in their last bit."""
    text = (NATIVE / "cuda" / "CMakeLists.txt").read_text()
    assert "--fmad=false" in text
    ptx = tmp_path / "kernels.ptx"
    source = NATIVE / "cuda" / "src" / "kernels.cu"
    run("nvcc", "-std=c++17", "--fmad=false", "-arch=compute_87", "-ptx", *INCLUDES, source, "-o", ptx)
    code = ptx.read_text()
    assert len(re.findall(r"\.entry", code)) == 8
    assert not re.search(r"\bfma\.|\.approx\b|\.ftz\b", code)
