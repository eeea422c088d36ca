"""The emulated Raspberry Pi 3: QEMU's raspi3b with 1 GB, as much of the card's own boot as QEMU can do.

What is real: the kernel, the initramfs, cmdline.txt, the card's partitions and all that runs from them.
What is not:
- QEMU enters the kernel directly. bootcode.bin, start.elf and config.txt are not run; config.txt is only read, for the
  names of kernel and initramfs.
- There is no HDMI of vc4. The board's plain framebuffer is told to the kernel as a `simple-framebuffer` node of the
  device tree, and the vc4 driver is kept out.
- There is no Wi-Fi. The network is a USB adapter, behind which QEMU stands as a router: 10.0.2.2 is this machine.
- There is no clock that survives: the guest believes the date of its image until it is told, as a Pi does.
Never stop (SIGSTOP) QEMU while it runs: the guest's SD driver times out and its file system takes errors.
"""

import os
import re
import subprocess
import time
from pathlib import Path

from .screen import Screen, ScreenError, Shot
from .shell import Shell

WIDTH, HEIGHT = 1280, 720
# 1 GB less the 64 MiB of the graphics chip; QEMU's picture begins 1 MiB in.
FRAMEBUFFER = 0x3C100000
# As a power of two: 0 is one nanosecond. The guest's clock goes by what it has computed, not by this machine's: an
# emulated Pi is ten times slower than a real one, more so beside other work, and every deadline inside (units, drivers,
# the supervisor's patience with Firefox) would be missed. So they mean the same work as on a Pi, or close to it.
NS_PER_INSTRUCTION = 0


class MachineError(Exception):
    """The emulated Pi cannot start, or ended by itself."""


def boot_partition(card: Path) -> int:
    """Where the card's first partition begins, in bytes: its FAT."""
    with card.open("rb") as file:
        table = file.read(512)
    if table[510:512] != b"\x55\xaa" or table[446 + 4] not in (0x0B, 0x0C, 0x0E):
        raise MachineError(f"{card} has no partition table with a FAT first: it was not written to its end")
    return int.from_bytes(table[446 + 8 : 446 + 12], "little") * 512


def from_boot_partition(card: Path, name: str, to: Path) -> Path:
    """Copies one file of the card's FAT out, without mounting anything."""
    source = f"{card}@@{boot_partition(card)}"
    done = subprocess.run(["mcopy", "-n", "-o", "-i", source, f"::{name}", str(to)], capture_output=True, text=True)
    if done.returncode:
        raise MachineError(f"{name} is not on the card's boot partition: {done.stderr.strip()}")
    return to


class Machine:
    """Runs from `start` to `stop`; `work` holds its sockets, logs and the files taken from the card."""

    def __init__(self, card: Path, work: Path, append: str = ""):
        self.card, self.work = card, work
        work.mkdir(parents=True, exist_ok=True)
        self.serial = work / "serial.log"
        self.kernel_line = f"{self._kernel_line()} {append}".strip()

    def start(self) -> None:
        size = self.card.stat().st_size
        if size & (size - 1):
            # The emulated SD host takes powers of two only. Cards of this size exist; the new space is sparse.
            os.truncate(self.card, 1 << size.bit_length())
        kernel, initramfs = self._boot_files()
        qmp, shell = self.work / "qmp", self.work / "shell"
        for old in (qmp, shell, self.serial):
            old.unlink(missing_ok=True)
        command = ["qemu-system-aarch64", "-M", "raspi3b", "-cpu", "cortex-a53", "-m", "1G", "-smp", "4"]
        command += ["-accel", "tcg,thread=single,tb-size=1024", "-icount", f"shift={NS_PER_INSTRUCTION}"]
        command += ["-kernel", kernel, "-initrd", initramfs, "-dtb", self._device_tree(), "-append", self.kernel_line]
        for name, value in (("xres", WIDTH), ("yres", HEIGHT), ("bpp", 32)):
            command += ["-global", f"bcm2835-fb.{name}={value}"]
        command += ["-drive", f"file={self.card},format=raw,if=sd,cache=unsafe"]
        command += ["-netdev", "user,id=net", "-device", "usb-net,netdev=net"]
        command += ["-display", "none", "-monitor", "none", "-qmp", f"unix:{qmp},server=on,wait=off"]
        command += ["-chardev", f"socket,id=shell,path={shell},server=on,wait=off,logfile={self.serial}"]
        command += ["-serial", "chardev:shell"]
        (self.work / "qemu-command").write_text(" ".join(map(str, command)) + "\n")
        with (self.work / "qemu.log").open("w") as log:
            self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.started = time.monotonic()
        self.screen = _when_there(lambda: Screen(qmp, self.work / "screen.ppm"), self._ended)
        self.shell = _when_there(lambda: Shell(shell), self._ended)

    def shot(self) -> Shot:
        self.check_alive()
        try:
            return self.screen.shot()
        except ScreenError as error:
            raise MachineError(f"{error}: {self._last_words()}") from error

    def check_alive(self) -> None:
        if self._ended():
            raise MachineError(f"QEMU ended by itself: {self._last_words()}")

    def wall(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.started

    def cpu(self) -> float:
        """Seconds of CPU that QEMU used so far, user and system, all threads (proc_pid_stat(5))."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def serial_tail(self, lines: int = 30) -> str:
        text = self.serial.read_text(errors="replace") if self.serial.exists() else ""
        # Colours and cursor movements say nothing here.
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "")
        return "\n".join(text.splitlines()[-lines:])

    def stop(self) -> None:
        """Pulls the plug."""
        if getattr(self, "process", None) is None or self._ended():
            return
        try:
            self.screen.quit()
        except (AttributeError, ScreenError):
            self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _ended(self) -> bool:
        return self.process.poll() is not None

    def _last_words(self) -> str:
        said = (self.work / "qemu.log").read_text(errors="replace").strip()
        return said.splitlines()[-1] if said else "it said nothing"

    def _boot_files(self) -> tuple[Path, Path]:
        """The kernel and initramfs that config.txt names, out of the card."""
        config = from_boot_partition(self.card, "config.txt", self.work / "config.txt").read_text()
        kernel = re.search(r"^kernel=(\S+)", config, re.MULTILINE)
        initramfs = re.search(r"^initramfs[= ](\S+)", config, re.MULTILINE)
        if not (kernel and initramfs):
            raise MachineError("config.txt on the card names no kernel or no initramfs")
        return (
            from_boot_partition(self.card, kernel[1], self.work / "kernel"),
            from_boot_partition(self.card, initramfs[1], self.work / "initramfs"),
        )

    def _kernel_line(self) -> str:
        """The card's own cmdline.txt; only the consoles are ours, and vc4, which QEMU has not, stays out."""
        line = from_boot_partition(self.card, "cmdline.txt", self.work / "cmdline.txt").read_text().split()
        own = [word for word in line if not word.startswith("console=")]
        return " ".join(
            own
            + ["console=ttyAMA0,115200", "console=tty0", "modprobe.blacklist=vc4,bcm2835_wdt"]
            + ["systemd.debug_shell=ttyAMA0", "systemd.mask=serial-getty@ttyAMA0.service"]
            # QEMU's watchdog resets the machine at once when it is set.
            + ["systemd.watchdog_sec=0"]
        )

    def _device_tree(self) -> Path:
        """The card's device tree for a Pi 3, with the framebuffer that the boot firmware would have added."""
        tree = from_boot_partition(self.card, "bcm2837-rpi-3-b.dtb", self.work / "pi3.dtb")
        node = f"/chosen/framebuffer@{FRAMEBUFFER:x}"

        def put(*words):
            subprocess.run(["fdtput", *map(str, words)], check=True)

        # The first serial line is Bluetooth's on a Pi 3. The second, the mini UART, hangs the kernel in QEMU.
        subprocess.run(["fdtput", "-r", str(tree), "/soc/serial@7e201000/bluetooth"], check=True)
        put("-c", "-p", tree, node)
        put("-t", "x", tree, "/chosen", "#address-cells", 1)
        put("-t", "x", tree, "/chosen", "#size-cells", 1)
        put(tree, "/chosen", "ranges")
        put("-t", "s", tree, node, "compatible", "simple-framebuffer")
        put("-t", "x", tree, node, "reg", f"{FRAMEBUFFER:x}", f"{WIDTH * HEIGHT * 4:x}")
        put("-t", "i", tree, node, "width", WIDTH)
        put("-t", "i", tree, node, "height", HEIGHT)
        put("-t", "i", tree, node, "stride", WIDTH * 4)
        put("-t", "s", tree, node, "format", "a8b8g8r8")
        put("-t", "s", tree, node, "status", "okay")
        return tree


def _when_there(connect, ended):
    """Connects to a socket that QEMU is about to make."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return connect()
        except (FileNotFoundError, ConnectionRefusedError) as error:
            if ended() or time.monotonic() > deadline:
                raise MachineError(f"QEMU did not start: {error}") from error
            time.sleep(0.1)

