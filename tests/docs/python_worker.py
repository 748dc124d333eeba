"""Runs the Python blocks of one page in one namespace: one JSON request a line in, one JSON answer a line out."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import traceback


def main() -> None:
    """Read requests until standard input ends."""
    answers = sys.stdout
    namespace: dict[str, object] = {"__name__": "__main__"}
    for row in sys.stdin:
        request = json.loads(row)
        printed, failed = io.StringIO(), ""
        with contextlib.redirect_stdout(printed):
            try:
                source = "\n" * request["line"] + request["source"]  # line numbers of the page
                exec(compile(source, request["name"], "exec"), namespace)
            except BaseException:  # noqa: BLE001 - reported, whatever it is
                failed = traceback.format_exc()
        answers.write(json.dumps({"failed": failed, "printed": printed.getvalue()}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
