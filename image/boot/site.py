"""The page on the glass: a great field of one colour, a clock for people, and the same clock as 16 squares for the test.

The squares along the bottom, white for 1 and black for 0, are the page's age in seconds as a binary number between two
that are always white: so a page that does not reach the edges of the glass is not taken for one that does. Two pictures
tell whether the page lives, and a smaller number than before tells that it was loaded anew.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .screen import Shot

COLOUR = (0x00, 0x55, 0xAA)
SQUARES = 16
WHITE, BLACK = (255, 255, 255), (0, 0, 0)

PAGE = """<!doctype html><meta charset="utf-8"><title>boot test</title>
<style>
  html, body { margin: 0; height: 100%; overflow: hidden; background: #0055aa; color: #ffffff }
  body { font: 700 11vmin "Inter", "DejaVu Sans", sans-serif }
  #clock { position: fixed; left: 5vw; top: 6vh; font-size: 22vmin; font-variant-numeric: tabular-nums }
  #place { position: fixed; left: 5vw; top: 32vh; font-weight: 400; font-size: 5vmin }
  #bits { position: fixed; left: 0; bottom: 0; width: 100vw; height: 12vh; display: flex }
  #bits i { flex: 1; background: #000000 }
</style>
<div id="clock"></div><div id="place">a page from the network, on an emulated Raspberry Pi 3</div><div id="bits"></div>
<script>
  const bits = document.getElementById("bits"), clock = document.getElementById("clock");
  for (let i = 0; i < 16; i++) bits.append(document.createElement("i"));
  const two = (n) => String(n).padStart(2, "0");
  const began = performance.now();
  const tick = () => {
    const age = Math.floor((performance.now() - began) / 1000) & 16383;
    const squares = 32769 | (age << 1);
    for (let i = 0; i < 16; i++) bits.children[i].style.background = (squares >> (15 - i)) & 1 ? "#ffffff" : "#000000";
    clock.textContent = two(Math.floor(age / 3600)) + ":" + two(Math.floor(age / 60) % 60) + ":" + two(age % 60);
  };
  tick();
  setInterval(tick, 1000);
</script>
"""


def age(shot: Shot) -> int | None:
    """The page's age in seconds, as it stands on the glass. None: the page is not painted, or not whole."""
    number = 0
    for square in range(SQUARES):
        colour = shot.pixel((square + 0.5) / SQUARES, 0.94)
        if colour not in (WHITE, BLACK):
            return None
        number = number * 2 + (colour == WHITE)
    first_and_last = 1 << (SQUARES - 1) | 1
    if number & first_and_last != first_and_last:
        return None
    # The field below the clock, from edge to edge: nothing else on a Pi's screen is of this colour.
    whole = shot.share(COLOUR, top=0.45, bottom=0.86) > 0.5 and shot.pixel(1, 0.5) == shot.pixel(1, 0.02) == COLOUR
    return (number & ~first_and_last) >> 1 if whole else None


class Site:
    """Serves the page on a free port of loopback, which is 10.0.2.2 inside. Counts who came."""

    def __init__(self):
        self.visits = 0
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = PAGE.encode() if self.path == "/" else b""
                site.visits += self.path == "/"
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url_inside(self) -> str:
        return f"http://10.0.2.2:{self.port}/"

    def close(self) -> None:
        self.server.shutdown()
