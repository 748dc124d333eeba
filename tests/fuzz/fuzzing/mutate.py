"""Changes to valid input: of bytes, of text with its numbers and words, of JSON by its structure."""

from __future__ import annotations

import copy
import json
import random
import re
import struct
from collections.abc import Callable
from typing import Any

NUMBERS: list[Any] = [
    *(0, -1, 1, 2, 0.5, -0.0, 3, 255, 256, 65536, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63, 2**64, 10**30),
    *(1e10, 1e11, 1e300, -1e300, 1.7e308, 5e-324, float("nan"), float("inf"), float("-inf"), 10**400, True),
]
WORDS = [
    *(
        "",
        "\0",
        "\n",
        "\t",
        " ",
        "\x1b[2J",
        "\x1b]0;x\x07",
        "\ud800",
        "\u2028",
        "\ufeff",
        "../../x",
        "/",
        "a" * 3000,
        "1" * 5000,
    ),
    *(
        "NaN",
        "nan",
        "inf",
        "Infinity",
        "1e999",
        "-1",
        "0x10",
        "1_000",
        "\u0661\u0662",
        "\u00b2",
        "%s",
        "{}",
        "{0}",
        "[red]",
    ),
    *(
        "<b>",
        "&lt;",
        "&#0;",
        '"',
        "'",
        ",",
        ";",
        "-->",
        "00:00:01,5",
        "e\u0301",
        "\u00e9",
        "a (0.500)",
        "CON",
        ".",
        "..",
    ),
]
SHAPES: list[Any] = [None, [], {}, [[]], [None], {"a": 1}, [1, 2, 3], "x", True, False]


def odd(rng: random.Random) -> Any:
    """A value that nobody expects."""
    return copy.deepcopy(rng.choice(rng.choice([NUMBERS, WORDS, SHAPES])))


def change_bytes(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        if not out:
            out += b"x"
        i, act = rng.randrange(len(out)), rng.random()
        if act < 0.3:
            out[i] = rng.randrange(256)
        elif act < 0.45:
            out[i] ^= 1 << rng.randrange(8)
        elif act < 0.6:
            del out[i : i + rng.choice([1, 4, 50, 500])]
        elif act < 0.7:
            out[i:i] = bytes([rng.randrange(256)]) * rng.choice([1, 4, 100])
        elif act < 0.78:
            out[i:i] = rng.choice(WORDS).encode("utf-8", "surrogatepass")
        elif act < 0.86:
            part = out[i : i + rng.choice([1, 8, 100])]
            out[i:i] = part * rng.choice([1, 2, 10])
        elif act < 0.95:
            kind = rng.choice(["<I", ">I", "<q", "<d"])
            floats, whole = [float("nan"), 1e300, -1e300, 5e-324, 1e11], [0, 1, 7, 2**31 - 1]
            part = struct.pack(kind, rng.choice(floats if kind == "<d" else whole))
            out[i : i + len(part)] = part
        else:
            del out[i:]
    return bytes(out)


def change_text(data: bytes, rng: random.Random) -> bytes:
    """Numbers, quoted words, words between tags or separators become odd ones; now and then plain bytes change."""
    text = data.decode("utf-8", "replace")
    for _ in range(rng.choice([1, 1, 2, 3])):
        places = list(re.finditer(r'"[^"]*"|-?\d+(?:\.\d+)?|(?<=>)[^<]+(?=<)|[^\W\d]+', text))
        if not places or rng.random() < 0.2:
            text = change_bytes(text.encode("utf-8", "surrogatepass"), rng).decode("utf-8", "replace")
            continue
        place, value = rng.choice(places), odd(rng)
        word = value if isinstance(value, str) else "1" + "0" * 400 if value == 10**400 else json.dumps(value)
        quoted = place[0][:1] == '"'
        text = text[: place.start()] + (f'"{word}"' if quoted else word) + text[place.end() :]
    return text.encode("utf-8", "surrogatepass")


def change_lines(data: bytes, rng: random.Random) -> bytes:
    """Whole lines are repeated, dropped, exchanged or joined; or what `change_text` does."""
    lines = data.split(b"\n")
    act = rng.random()
    if act < 0.7 or len(lines) < 2:
        return change_text(data, rng)
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    if act < 0.78:
        lines.insert(i, lines[j])
    elif act < 0.84:
        del lines[i]
    elif act < 0.9:
        lines[i], lines[j] = lines[j], lines[i]
    elif act < 0.95:
        return b"\r\n".join(lines)
    else:
        return data.decode("utf-8", "replace").encode(
            rng.choice(["utf-16", "utf-8-sig", "utf-16-le", "latin-1"]), "replace"
        )
    return b"\n".join(lines)


def change_value(value: Any, rng: random.Random) -> Any:
    """A changed copy of a JSON value."""
    root = [copy.deepcopy(value)]
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        places = list(_places(root))[1:] or [(root, 0)]
        holder, key = rng.choice(places)
        act, old = rng.random(), holder[key]
        if act < 0.55:
            holder[key] = odd(rng)
        elif act < 0.7 and holder is not root:
            del holder[key]
        elif act < 0.8 and isinstance(holder, dict):
            holder[rng.choice([*WORDS, "x"])] = copy.deepcopy(old)
        elif act < 0.9 and isinstance(holder, list) and holder is not root:
            holder.append(copy.deepcopy(old))
        elif isinstance(old, int | float) and not isinstance(old, bool) and abs(old) < 1e300:
            holder[key] = old * rng.choice([-1, 1e9, 1e-9, 0.5, 1e299])
        else:
            holder[key] = rng.choice([[old], {"x": old}, str(old)])
    return root[0]


def _places(value: Any, depth: int = 0) -> Any:
    """(holder, key) of everything inside, at most 30 of a list."""
    keys = list(value) if isinstance(value, dict) else range(min(len(value), 30)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        if depth < 12:
            yield from _places(value[key], depth + 1)


def change_json(data: bytes, rng: random.Random) -> bytes:
    """By structure, mostly; else as text."""
    if rng.random() < 0.85:
        try:
            return dumped(change_value(json.loads(data), rng))
        except ValueError:
            pass
    return change_text(data, rng)


def change_json_line(data: bytes, rng: random.Random) -> bytes:
    """One line of JSON Lines."""
    lines = data.split(b"\n")
    i = rng.randrange(len(lines))
    if rng.random() < 0.8 and lines[i]:
        lines[i] = change_json(lines[i], rng)
        return b"\n".join(lines)
    return change_lines(data, rng)


def dumped(value: Any) -> bytes:
    try:
        return json.dumps(value).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):  # an integer of too many digits
        return b"null"


def behind_length(
    start: int, change: Callable[[bytes, random.Random], bytes]
) -> Callable[[bytes, random.Random], bytes]:
    """For a layout of `start` bytes, 4 bytes of length, so many bytes of JSON, and a rest: mostly the JSON changes and
    its length with it."""

    def mutate(data: bytes, rng: random.Random) -> bytes:
        if len(data) < start + 4 or rng.random() < 0.25:
            return change_bytes(data, rng)
        (size,) = struct.unpack_from("<I", data, start)
        head = change(data[start + 4 : start + 4 + size], rng)
        size = len(head) if rng.random() < 0.95 else rng.choice([0, 2**32 - 1, len(head) + 5])
        return (
            data[:start] + struct.pack("<I", size) + head + data[start + 4 + len(data[start + 4 : start + 4 + size]) :]
        )

    return mutate
