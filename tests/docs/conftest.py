"""Small materials under the placeholder names of the documentation; each is made once, when a page first needs it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # docs_blocks.py


class Materials:
    """Files and folders by the names that pages use for them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._makers: dict[str, Callable[[Path], object]] = {
            "bundle/": lambda path: self._asset("default", path),
            "sensor-bundle/": lambda path: self._asset("demo", path),
            "my-videos/": lambda path: self._punctum(
                "data", "make-videos", "--out", path, "--count", 8, "--seconds", 10, "--size", "96x72", "--fps", 10
            ),
            "my-features/": lambda path: self._punctum("data", "make-demo", "--out", path, "--count", 8),
            "clip.mp4": lambda path: shutil.copy(self._first_video(), path),
            "clip-gt.json": self._truth,
            "run/": lambda path: self._punctum(
                "train", self.path("my-features/"), "--out", path, "--epochs", 2, "--threads", 1, "--quiet"
            ),
            "features.npy": lambda path: shutil.copy(min(self.path("my-features/").glob("features/*.npy")), path),
            "events.jsonl": lambda path: self._punctum(
                "run", self.path("bundle/"), self.path("clip.mp4"), "--out", path
            ),
        }

    @property
    def names(self) -> list[str]:
        return sorted(self._makers)

    def path(self, name: str) -> Path:
        """Where the material is, made if it is not there yet."""
        path = self._folder / name.rstrip("/")
        if not path.exists():
            self._makers[name](path)
        return path

    def put(self, name: str, folder: Path) -> None:
        """A copy in `folder`, so that a page may change it."""
        if name not in self._makers:
            raise ValueError(f"no material {name!r}; there are {', '.join(self.names)}")
        source, target = self.path(name), folder / name.rstrip("/")
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)

    def _first_video(self) -> Path:
        return min(self.path("my-videos/").glob("videos/*.mp4"))

    def _truth(self, path: Path) -> None:
        truth = json.loads((self.path("my-videos/") / "gt.json").read_text())
        path.write_text(json.dumps(truth | {"database": {"clip": truth["database"][self._first_video().stem]}}))

    @staticmethod
    def _asset(name: str, path: Path) -> None:
        shutil.copytree(str(resources.files("punctum.runtime") / "assets" / name), path)

    @staticmethod
    def _punctum(*arguments: object) -> None:
        command = [str(Path(sys.executable).parent / "punctum"), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def materials(tmp_path_factory: pytest.TempPathFactory) -> Materials:
    if not (Path(sys.executable).parent / "punctum").exists():
        pytest.skip("punctum is not installed beside this Python")
    return Materials(tmp_path_factory.mktemp("materials"))
