"""The OpenAPI document of the API of `punctum serve`.

python .ci/site_openapi.py            write docs/reference/site-openapi.json
python .ci/site_openapi.py --check    fail if it is out of date
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "site-openapi.json"


def document() -> str:
    """The text of the document, without the version of punctum, which changes with every release."""
    from punctum.runtime.site.api.app import openapi

    made = openapi()
    made["info"]["version"] = "1"
    return json.dumps(made, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> int:
    text = document()
    if "--check" in sys.argv[1:]:
        if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
            print(f"{PAGE} is out of date: run python .ci/site_openapi.py")
            return 1
        return 0
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
