"""What the test sees must be what is on the glass: `python3 -B image/boot/eyes_test.py`, a second, no emulator."""

import struct
import sys
import tempfile
import unittest
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from boot import site  # noqa: E402
from boot.machine import MachineError, boot_partition  # noqa: E402
from boot.screen import ScreenError, Shot  # noqa: E402
from boot.shell import PROMPT  # noqa: E402

WIDTH, HEIGHT = 320, 180


def glass(age: int, field=site.COLOUR) -> Shot:
    """The page as Firefox paints it, of this age."""
    squares = f"1{age:014b}1"
    last = b"".join(bytes(site.WHITE if squares[x * 16 // WIDTH] == "1" else site.BLACK) for x in range(WIDTH))
    high = HEIGHT * 12 // 100 + 1
    return Shot(WIDTH, HEIGHT, bytes(field) * WIDTH * (HEIGHT - high) + last * high)


class Eyes(unittest.TestCase):
    def test_the_age_of_the_page_is_read_from_the_glass(self):
        for age in (0, 1, 2, 77, 4096, 16383):
            self.assertEqual(site.age(glass(age)), age)

    def test_a_black_screen_a_white_one_and_another_page_are_not_the_page(self):
        for field in (site.BLACK, site.WHITE, (13, 19, 33)):
            self.assertIsNone(site.age(glass(5, field)))
        self.assertIsNone(site.age(Shot(WIDTH, HEIGHT, bytes(site.COLOUR) * WIDTH * HEIGHT)))

    def test_a_page_in_a_window_that_does_not_fill_the_glass_is_not_taken_for_whole(self):
        """Seen right after Firefox came back: its window 1152 wide on a screen of 1280, the rest black."""
        rows = [glass(0).rgb[row * WIDTH * 3 : row * WIDTH * 3 + WIDTH * 27 // 10 // 3 * 3] for row in range(HEIGHT)]
        rows = [row + bytes(WIDTH * 3 - len(row)) for row in rows]
        self.assertIsNone(site.age(Shot(WIDTH, HEIGHT, b"".join(rows))))
        less_high = [bytes(WIDTH * 3)] * (HEIGHT // 5)
        self.assertIsNone(site.age(Shot(WIDTH, HEIGHT, b"".join([*rows[: -len(less_high)], *less_high]))))

    def test_a_share_counts_only_the_part_that_was_asked_for(self):
        shot = Shot(WIDTH, HEIGHT, b"\xff\0\0" * WIDTH * (HEIGHT // 2) + b"\0\0\xff" * WIDTH * (HEIGHT // 2))
        self.assertAlmostEqual(shot.share((255, 0, 0)), 0.5, delta=0.02)
        self.assertEqual(shot.share((254, 3, 0), bottom=0.4), 1.0)
        self.assertEqual(shot.share((255, 0, 0), top=0.6), 0.0)

    def test_a_screendump_whose_first_pixels_look_like_blanks_is_read_whole(self):
        rgb = b" \n\t" * 12
        self.assertEqual(Shot.from_ppm(b"P6\n4 3\n255\n" + rgb).rgb, rgb)
        with self.assertRaises(ScreenError):
            Shot.from_ppm(b"P6\n400 300\n255\n" + rgb)

    def test_a_picture_is_a_png_that_holds_every_pixel(self):
        for shot in (glass(9), Shot(64, 16, bytes(range(256)) * 12)):
            with tempfile.TemporaryDirectory() as folder:
                data = shot.save(Path(folder) / "a.png").read_bytes()
            chunks, at = {}, 8
            while at < len(data):
                size, kind = struct.unpack(">I4s", data[at : at + 8])
                body = data[at + 8 : at + 8 + size]
                self.assertEqual(struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0], zlib.crc32(kind + body))
                chunks[kind], at = body, at + 12 + size
            self.assertEqual(struct.unpack(">II", chunks[b"IHDR"][:8]), (shot.width, shot.height))
            rows = zlib.decompress(chunks[b"IDAT"])
            line = len(rows) // shot.height
            pixels = b"".join(rows[row * line + 1 : (row + 1) * line] for row in range(shot.height))
            if b"PLTE" in chunks:
                pixels = b"".join(chunks[b"PLTE"][3 * index : 3 * index + 3] for index in pixels)
            self.assertEqual(pixels, shot.rgb)

    def test_a_card_that_was_not_written_to_its_end_is_told(self):
        with tempfile.TemporaryDirectory() as folder:
            card = Path(folder) / "card.img"
            card.write_bytes(bytes(1 << 20))
            with self.assertRaises(MachineError):
                boot_partition(card)

    def test_the_prompt_is_known_among_escapes_and_kernel_messages(self):
        self.assertTrue(PROMPT.search(b"\x1b[6n\x1b[?2004hroot@pikiosk:/# "))
        self.assertTrue(PROMPT.search(b"bash-5.2# "))
        self.assertFalse(PROMPT.search(b"[    2.88] Linux version (gcc 14) #1 SMP Debian 6.12 # 5"))


if __name__ == "__main__":
    unittest.main()
