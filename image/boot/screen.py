"""The glass of the emulated Pi, looked at through QEMU's QMP socket. Only the standard library.

    shot = Screen(qmp_socket, scratch_file).shot()
    shot.share((0, 85, 170))      # how much of the glass has this colour, 0 to 1
    shot.save(Path("page.png"))
"""

import json
import re
import socket
import struct
import zlib
from pathlib import Path


class ScreenError(Exception):
    """QEMU did not show its screen: it ended, or has none yet."""


class Shot:
    """One picture of the glass: RGB, 8 bits each."""

    def __init__(self, width: int, height: int, rgb: bytes):
        self.width, self.height, self.rgb = width, height, rgb

    @classmethod
    def from_ppm(cls, data: bytes) -> "Shot":
        head = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", data)
        if not head:
            raise ScreenError("the screendump is no PPM of 8 bits")
        width, height, rgb = int(head[1]), int(head[2]), data[head.end() :]
        if len(rgb) != width * height * 3:
            raise ScreenError("the screendump is cut short")
        return cls(width, height, rgb)

    def pixel(self, x: float, y: float) -> tuple[int, int, int]:
        """The colour at these shares of width and height, each 0 to 1."""
        at = (int(y * (self.height - 1)) * self.width + int(x * (self.width - 1))) * 3
        return self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]

    def share(self, colour: tuple[int, int, int], left=0.0, top=0.0, right=1.0, bottom=1.0) -> float:
        """How much of this part of the glass has a colour, off by 4 per channel at most; every fourth pixel is asked."""
        red, green, blue = colour
        hits = asked = 0
        for y in range(int(top * self.height), int(bottom * self.height), 4):
            row = y * self.width
            for x in range(int(left * self.width), int(right * self.width), 4):
                at = (row + x) * 3
                asked += 1
                hits += (
                    abs(self.rgb[at] - red) <= 4
                    and abs(self.rgb[at + 1] - green) <= 4
                    and abs(self.rgb[at + 2] - blue) <= 4
                )
        return hits / max(asked, 1)

    def save(self, path: Path) -> Path:
        """As PNG: with a palette if 256 colours do, which makes a picture of a page small enough to keep."""
        pixels = [self.rgb[at : at + 3] for at in range(0, len(self.rgb), 3)]
        palette = sorted(set(pixels))
        head, per_pixel = (struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0), 3)
        data, chunks = self.rgb, b""
        if len(palette) <= 256:
            head, per_pixel = (struct.pack(">IIBBBBB", self.width, self.height, 8, 3, 0, 0, 0), 1)
            index = {colour: number for number, colour in enumerate(palette)}
            data, chunks = bytes(index[pixel] for pixel in pixels), _chunk(b"PLTE", b"".join(palette))
        line = self.width * per_pixel
        rows = b"".join(b"\0" + data[at : at + line] for at in range(0, len(data), line))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + _chunk(b"IHDR", head)
            + chunks
            + _chunk(b"IDAT", zlib.compress(rows, 9))
            + _chunk(b"IEND", b"")
        )
        return path


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


class Screen:
    """QEMU's monitor: takes pictures, and ends the machine."""

    def __init__(self, qmp: Path, scratch: Path):
        self.scratch = scratch
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)  # a picture takes milliseconds; a QEMU that is silent this long hangs
        self.socket.connect(str(qmp))
        self.lines = self.socket.makefile("rw", encoding="utf-8")
        self._answer("QMP")
        self._ask("qmp_capabilities")

    def shot(self) -> Shot:
        self._ask("screendump", filename=str(self.scratch))
        return Shot.from_ppm(self.scratch.read_bytes())

    def quit(self) -> None:
        self._ask("quit")

    def _ask(self, what: str, **arguments) -> None:
        try:
            self.lines.write(json.dumps({"execute": what, "arguments": arguments}) + "\n")
            self.lines.flush()
        except OSError as error:
            raise ScreenError(f"QEMU is gone: {error}") from error
        self._answer("return")

    def _answer(self, kind: str) -> None:
        """Waits for the answer; what QEMU tells besides is of no use here."""
        while True:
            try:
                line = self.lines.readline()
            except OSError as error:
                raise ScreenError(f"QEMU does not answer: {error}") from error
            if not line:
                raise ScreenError("QEMU has ended")
            said = json.loads(line)
            if "error" in said:
                raise ScreenError(said["error"].get("desc", line))
            if kind in said:
                return
