"""A root shell inside the emulated Pi, on its first serial line.

Nothing on the card makes it: the kernel is started with `systemd.debug_shell=ttyAMA0`, so both machines of a comparison
have it alike, and a card that was flashed for a wall has none.
"""

import re
import socket
import threading
import time
from pathlib import Path

PROMPT = re.compile(rb"root@[\w.:~/-]+# |bash-[\d.]+# |sh-[\d.]+# ")


class ShellError(Exception):
    """The shell inside does not answer, or a command there failed."""


class Shell:
    """Says nothing before the shell has shown its prompt: a byte that reaches the line while the kernel still sets it
    up hangs the emulated machine.
    """

    def __init__(self, path: Path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.heard = b""
        self.closed = self.open = False
        self.number = 0
        self.news = threading.Condition()
        # Read all the time: a line that nobody reads would make the guest wait.
        threading.Thread(target=self._listen, daemon=True).start()

    def ready(self) -> bool:
        """Whether the shell has come up."""
        with self.news:
            if not self.open and PROMPT.search(self.heard):
                self.open = True
                # A shell that draws no line of its own.
                self.socket.sendall(b"exec /bin/sh\n")
        return self.open

    def run(self, command: str, within: float = 60) -> str:
        """What the command printed. Fails if it fails, or is not done in so many seconds."""
        if not self.ready():
            raise ShellError("the shell inside has not come up")
        self.number += 1
        # The quotes keep the marks out of the terminal's own echo of the command.
        line = f'stty -echo; echo "<""<{self.number}"; {command}; echo ">"">{self.number}:$?"\n'
        self.socket.sendall(line.encode())
        wanted = re.compile(rf"<<{self.number}\r?\n(.*?)>>{self.number}:(\d+)".encode(), re.DOTALL)
        deadline = time.monotonic() + within
        with self.news:
            while not (found := wanted.search(self.heard)):
                left = deadline - time.monotonic()
                if self.closed:
                    raise ShellError("the serial line is closed: QEMU has ended")
                if left <= 0:
                    raise ShellError(f"the shell inside did not answer `{command}` in {within:.0f} s")
                self.news.wait(left)
            self.heard = self.heard[found.end() :]
        text = found[1].decode(errors="replace").replace("\r\n", "\n")
        if int(found[2]):
            raise ShellError(f"`{command}` ended with {int(found[2])} inside:\n{text}")
        return text

    def _listen(self) -> None:
        while True:
            try:
                data = self.socket.recv(65536)
            except OSError:
                data = b""
            with self.news:
                self.heard = (self.heard + data)[-1_000_000:]
                self.closed = not data
                self.news.notify_all()
            if not data:
                return
