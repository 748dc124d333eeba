"""How blocks of the documentation are found, read and run, and that every command is in one. Pages: beside this."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from docs_blocks import PYTHON, ROOT, SHELL, Scratch, _blocks, blocks, name, pages

COMMAND = re.compile(r"^\s*(\$ |punctum |pip |python |make |docker |sudo |cmake |git )", re.M)


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_command_is_in_a_block_that_runs_or_says_why_not(page):
    for block in blocks(page):
        for reason in block.values("skip"):
            assert len(reason) > 10, f"{block.where}: say why the block is skipped"
        if block.language not in SHELL + PYTHON and not block.language.startswith("{"):
            assert not block.values("skip"), f"{block.where}: only {', '.join(SHELL + PYTHON)} blocks are run"
        if block.language in ("", "text", "shell", "zsh"):
            found = COMMAND.search(block.text)
            assert not found, f"{block.where}: commands belong into a console or bash block: {found[0]!r}"


@pytest.mark.slow
def test_the_materials_are_those_of_the_list(materials, tmp_path):
    text = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([^`]+)` \|", text.split("## Materials")[1], re.M)
    assert sorted(listed) == materials.names
    for material in ("clip.mp4", "features.npy", "my-features/"):
        materials.put(material, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "features.npy", "my-features"]


PAGE = """\
# Title

<!-- needs: clip.mp4 -->

```console
$ echo one \\
    two
one two
$ cat <<'END'
> three
> END
three
```

<!-- skip: needs a camera that the tests do not have -->
```bash
false
```

- item

  <!-- small: --count 40 => --count 2 -->
  <!-- exit: 3 -->
  ```bash
  echo --count 40; exit 3
  ```

```python
x = 1
```

:::{note}
```python
print(x + 1)
```
:::

```json
{}
```
"""


def test_blocks_are_read_and_run(tmp_path):
    found = list(_blocks(ROOT / "docs" / "page.md", PAGE))
    assert [b.language for b in found] == ["console", "bash", "bash", "python", "python", "json"]
    assert [b.runs for b in found] == [True, False, True, True, True, False]
    assert found[0].source() == "echo one \\\n    two\ncat <<'END'\nthree\nEND"
    assert found[2].source() == "echo --count 2; exit 3"
    (tmp_path / "scratch").mkdir()
    scratch = Scratch(tmp_path / "scratch")
    try:
        assert [scratch.run(b) for b in found if b.runs] == ["one two\nthree\n", "--count 2\n", "", "2\n"]
    finally:
        scratch.close()


def test_blocks_share_folder_and_variables_and_failures_are_reported(tmp_path):
    text = "```bash\nmkdir a\ncd a\nexport WHAT=here\n```\n```bash\necho $WHAT > b\n```\n```bash\ncat c; true\n```\n"
    text += "```python\nopen('a/b').read()\n1 / 0\n```\n"
    first, second, third, fourth = _blocks(ROOT / "docs" / "page.md", text)
    (tmp_path / "scratch").mkdir()
    scratch = Scratch(tmp_path / "scratch")
    try:
        scratch.run(first)
        scratch.run(second)
        assert (tmp_path / "scratch" / "a" / "b").read_text() == "here\n"
        with pytest.raises(AssertionError, match=r"page\.md:9: exit code 1, expected 0"):
            scratch.run(third)
        with pytest.raises(AssertionError, match=r'page\.md:12", line 14'):
            scratch.run(fourth)
    finally:
        scratch.close()
