"""What both scripts tell: every wait has a deadline, every stage its times, and a failure says where to look."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from . import site
from .machine import Machine, MachineError
from .project import ProjectError
from .screen import ScreenError
from .shell import ShellError

POLL = 1.0  # seconds between two looks; the only sleep there is
SPLASH = (0xFF, 0x5C, 0x8A)  # the line along the top of the display's own local page
FAILURES = (MachineError, ProjectError, ScreenError, ShellError, subprocess.SubprocessError, OSError)


class Failed(Exception):
    """What the test is about is not so; the text says which part."""


def begin(log: Path) -> None:
    """All that is said goes to a file as well, and who is told to end takes QEMU and the server along."""
    sys.stdout = Log(log)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


class Log:
    """The terminal, and a file."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("w")
        self.terminal = sys.stdout

    def write(self, text: str) -> int:
        self.terminal.write(text)
        return self.file.write(text)

    def flush(self) -> None:
        self.terminal.flush()
        self.file.flush()


class Story:
    """One boot, told stage by stage."""

    def __init__(self, name: str, machine: Machine, pictures: Path):
        self.name, self.machine, self.pictures = name, machine, pictures
        self.rows: list[tuple[str, float | None, float, float]] = []
        self.shell_seen = self.splash_seen = False

    def mark(self, stage: str) -> None:
        wall, cpu = self.machine.wall(), self.machine.cpu()
        self.rows.append((stage, self.uptime(), wall, cpu))
        print(f"{self.name}: {stage}  ({wall:.0f} s, QEMU {cpu:.0f} CPU-s)", flush=True)

    def uptime(self) -> float | None:
        """The guest's own, in seconds; None until the shell inside is there."""
        if not self.machine.shell.ready():
            return None
        return float(self.machine.shell.run("cat /proc/uptime").split()[0])

    def wait(self, what: str, within: float, check):
        """Asks `check` once a second until it answers with something true, and hands that on."""
        deadline = time.monotonic() + within
        while True:
            self.machine.check_alive()
            found = check()
            if found:
                return found
            if self.machine.shell.ready() and not self.shell_seen:
                self.shell_seen = True
                self.mark("systemd is up: root shell on the serial line")
            if time.monotonic() > deadline:
                raise Failed(f"{what}: not so after {within:.0f} s")
            time.sleep(POLL)

    def page(self) -> int | None:
        """The age of the page on the glass, in seconds; None: it is not there."""
        shot = self.machine.shot()
        if not self.splash_seen and shot.pixel(0.5, 0.003) == SPLASH:
            self.splash_seen = True
            self.mark("the local page is painted: Firefox is up")
        return site.age(shot)

    def painted(self, within: float) -> None:
        self.wait("the page is painted", within, lambda: self.page() is not None)

    def picture(self, name: str) -> Path:
        path = self.machine.shot().save(self.pictures / f"{name}.png")
        print(f"{self.name}: picture {path}", flush=True)
        return path

    def table(self) -> None:
        print(f"\n{self.name + ' ':-<78}\n{'':<48}{'guest up':>10}{'wall':>9}{'CPU-s':>9}")
        for stage, uptime, wall, cpu in self.rows:
            up = "-" if uptime is None else f"{uptime:.0f} s"
            print(f"{stage:<48}{up:>10}{wall:>7.0f} s{cpu:>9.0f}")
        print(flush=True)

    def explain(self) -> None:
        """After a failure: the last picture, the serial line's end, and what the system inside says."""
        print("\nWhere to look:")
        try:
            self.picture("failed")
        except FAILURES as error:
            print(f"no picture: {error}")
        print(f"the end of {self.machine.serial}:")
        print("\n".join("  | " + line for line in self.machine.serial_tail(20).splitlines()))
        asks = ("systemctl --no-pager --failed", "ip -brief address", "journalctl -b -n 60 --no-pager -o cat")
        for ask in asks:
            try:
                said = self.machine.shell.run(f"{ask} 2>&1", within=90)
                print(f"inside, {ask}:\n" + "\n".join("  | " + line for line in said.splitlines()))
            except FAILURES as error:
                print(f"inside, {ask}: {error}")
        sys.stdout.flush()
