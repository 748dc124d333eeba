"""Bits of headers in video data."""

from __future__ import annotations


class Bits:
    """Reads bits, the most significant first. Every read past the end raises IndexError."""

    __slots__ = ("_left", "_value")

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        """Read an unsigned number of `count` bits."""
        if count > self._left:
            raise IndexError("the header ends early")
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def flag(self) -> bool:
        """Read one bit."""
        return self.take(1) == 1

    def golomb(self) -> int:
        """Read an unsigned Exp-Golomb number, as in H.264 and H.265."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def signed_golomb(self) -> int:
        """Read a signed Exp-Golomb number."""
        code = self.golomb()
        return (code + 1) // 2 if code & 1 else -(code // 2)

    def leb128(self) -> int:
        """Read a number in groups of 7 bits, the least significant first, as in AV1."""
        value = 0
        for shift in range(0, 56, 7):
            byte = self.take(8)
            value |= (byte & 127) << shift
            if byte < 128:
                break
        return value
