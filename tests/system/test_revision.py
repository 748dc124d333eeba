"""The commit in `punctum --version`: read from the files of .git, in every form that git leaves them in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from punctum.runtime.cli._revision import commit, revision

ROOT = Path(__file__).resolve().parents[2]
SHA = "0123456789abcdef0123456789abcdef01234567"


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_detached_head(tmp_path):
    write(tmp_path / ".git" / "HEAD", f"{SHA}\n")
    assert commit(tmp_path) == SHA


def test_branch_with_a_file(tmp_path):
    write(tmp_path / ".git" / "HEAD", "ref: refs/heads/main\n")
    write(tmp_path / ".git" / "refs" / "heads" / "main", f"{SHA}\n")
    assert commit(tmp_path) == SHA


def test_packed_branch(tmp_path):
    write(tmp_path / ".git" / "HEAD", "ref: refs/heads/main\n")
    other = SHA[::-1]
    write(
        tmp_path / ".git" / "packed-refs",
        f"# pack-refs with: peeled\n{other} refs/heads/not-main\n{SHA} refs/heads/main\n^{other}\n",
    )
    assert commit(tmp_path) == SHA


def test_linked_worktree(tmp_path):
    own = tmp_path / "main" / ".git" / "worktrees" / "side"
    write(tmp_path / "side" / ".git", f"gitdir: {own}\n")
    write(own / "HEAD", "ref: refs/heads/side\n")
    write(own / "commondir", "../..\n")
    write(tmp_path / "main" / ".git" / "refs" / "heads" / "side", f"{SHA}\n")
    assert commit(tmp_path / "side") == SHA


@pytest.mark.parametrize(
    "head", ["", "ref: refs/heads/unborn\n", "ref: refs/heads/\x00\n", "something else\n", SHA[:10]]
)
def test_what_has_no_commit(tmp_path, head):
    assert commit(tmp_path) == ""
    write(tmp_path / ".git" / "HEAD", head)
    assert commit(tmp_path) == ""


def test_this_checkout():
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    assert commit(ROOT) == done.stdout.strip()
    assert done.stdout.startswith(revision())


def test_the_version_names_the_commit():
    code = "import sys; from punctum.runtime.cli import invoke; sys.exit(invoke(['--version']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    assert revision() in done.stdout
