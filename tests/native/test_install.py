"""libpunctum as another project finds it: headers, find_package, pkg-config, names and versions."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.native.prefix import ROOT, install, run

PROGRAM = """
#include <punctum.h>
#include <stdio.h>
int main(void) {
  const double segments[4] = {0, 2, 1, 3}, scores[2] = {0.5, 0.6};
  double decayed[2];
  int64_t index[2];
  size_t count = 0;
  punctum_error error;
  if (punctum_soft_nms(segments, scores, 2, 0.3, 0.0, 0.0, index, decayed, &count, &error) != PUNCTUM_OK) return 1;
  printf("%s %d %d %.3f\\n", punctum_version(), (int)punctum_abi_version(), (int)count, decayed[1]);
  return punctum_soft_nms(segments, scores, 2, -1.0, 0.0, 0.0, index, decayed, &count, &error) == PUNCTUM_OK;
}
"""
SAID = r"\d+\.\d+\.\d+ 1 2 0\.345\n"


@pytest.fixture(scope="module")
def prefix(library_path, tmp_path_factory):
    return install(tmp_path_factory.mktemp("prefix"))


@pytest.fixture
def program(tmp_path):
    (tmp_path / "main.c").write_text(PROGRAM)
    return tmp_path / "main.c"


def directory_of(prefix: Path, name: str) -> Path:
    """lib, lib64 or lib/<triplet>: where the file lies."""
    return next(prefix.rglob(name)).parent


@pytest.mark.parametrize("language", ["C", "CXX"])
def test_find_package(prefix, program, tmp_path, language):
    program = program if language == "C" else program.rename(program.with_suffix(".cpp"))
    (tmp_path / "CMakeLists.txt").write_text(
        f"""
cmake_minimum_required(VERSION 3.25)
project(consumer {language})
find_package(punctum 0.1 REQUIRED)
foreach(kind punctum shared static)
  add_executable(with_${{kind}} {program.name})
  target_link_libraries(with_${{kind}} PRIVATE punctum::${{kind}})
endforeach()
"""
    )
    run("cmake", "-S", tmp_path, "-B", tmp_path / "out", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", tmp_path / "out")
    for kind in ("punctum", "shared", "static"):
        assert re.fullmatch(SAID, run(tmp_path / "out" / f"with_{kind}").stdout)


def test_another_version_is_refused(prefix, tmp_path):
    text = "cmake_minimum_required(VERSION 3.25)\nproject(consumer C)\nfind_package(punctum 9.0 REQUIRED)\n"
    (tmp_path / "CMakeLists.txt").write_text(text)
    command = ["cmake", "-S", str(tmp_path), "-B", str(tmp_path / "out"), f"-DCMAKE_PREFIX_PATH={prefix}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode
    assert "9.0" in done.stderr


@pytest.mark.skipif(not shutil.which("pkg-config"), reason="no pkg-config")
def test_pkg_config_after_a_move(prefix, program, tmp_path):
    moved = shutil.copytree(prefix, tmp_path / "else where", symlinks=True)
    lib = directory_of(moved, "libpunctum.a")
    environment = {**os.environ, "PKG_CONFIG_PATH": str(directory_of(moved, "punctum.pc"))}

    def flags(*asked: str) -> str:
        return run("pkg-config", *asked, "punctum", env=environment).stdout.strip()

    assert flags("--modversion") == re.search(r'__version__ = "(.+)"', (ROOT / "runtime/_version.py").read_text())[1]
    compiler = shutil.which("cc") or shutil.which("gcc")
    shared = f"'{compiler}' '{program}' -o shared {flags('--cflags', '--libs')} -Wl,-rpath,'{lib}'"
    run("sh", "-c", shared, cwd=tmp_path)
    static = flags("--cflags", "--libs", "--static").replace("-lpunctum", "-Wl,-Bstatic -lpunctum -Wl,-Bdynamic")
    run("sh", "-c", f"'{compiler}' '{program}' -o static {static}", cwd=tmp_path)
    for name in ("shared", "static"):
        assert re.fullmatch(SAID, run(tmp_path / name).stdout)


@pytest.mark.skipif(not shutil.which("readelf") or not shutil.which("nm"), reason="no binutils")
def test_names_of_the_shared_library(prefix):
    library = next(prefix.rglob("libpunctum.so"))
    abi = re.search(r"PUNCTUM_ABI_VERSION (\d+)", (prefix / "include" / "punctum.h").read_text())[1]
    dynamic = run("readelf", "-d", library).stdout
    assert f"soname: [libpunctum.so.{abi}]" in dynamic
    assert (library.parent / f"libpunctum.so.{abi}").exists()
    needed = set(re.findall(r"NEEDED.*\[(.+?)\.so", dynamic))
    assert needed <= {"libstdc++", "libc++", "libm", "libgcc_s", "libc", "libpthread", "ld-linux-x86-64"}
    header = (prefix / "include" / "punctum.h").read_text()
    declared = set(re.findall(r"PUNCTUM_API [^;]*?\b(punctum_\w+)\(", header))
    exported = set(re.findall(r" [TDBRW] (\w+)", run("nm", "-D", "--defined-only", library).stdout))
    assert exported == declared
    assert len(declared) > 30
