"""The JSON Schema of the configuration of `punctum serve`.

python .ci/site_schema.py            write docs/reference/site.schema.json
python .ci/site_schema.py --check    fail if the file is out of date
"""

from __future__ import annotations

import sys
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "site.schema.json"


def differences() -> list[str]:
    """What keeps the file from being that of the models."""
    from punctum.runtime.site.config.schema import schema_text

    if not FILE.is_file() or FILE.read_text(encoding="utf-8") != schema_text():
        return [f"{FILE.name} is out of date: run python .ci/site_schema.py"]
    return []


def main(arguments: list[str]) -> int:
    """Write the file, or check it."""
    from punctum.runtime.site.config.schema import schema_text

    if "--check" not in arguments:
        FILE.write_text(schema_text(), encoding="utf-8")
    found = differences()
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
