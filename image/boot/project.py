"""The project's own programs, as a person would call them: the event server, enroll, flash, displays, push."""

import json
import os
import re
import subprocess
import time
from pathlib import Path


class ProjectError(Exception):
    """A command of pikiosk failed; the text is what it said."""


class Project:
    """An event server of its own on a free port of loopback, with its own data; ends with `close`."""

    def __init__(self, binary: Path, data: Path):
        data.mkdir(parents=True, exist_ok=True)
        # Whole paths: flash leaves its receipts where it is called, so commands are called in `data`.
        self.binary, self.data = binary.resolve(), data.resolve()
        # Nothing that this machine's user configured may reach in.
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.data), "LANG": "C.UTF-8"}
        self.environment |= {name: os.environ[name] for name in ("TMPDIR",) if name in os.environ}
        command = [str(self.binary), "server", "--listen", "127.0.0.1:0", "--data", str(self.data), "--json"]
        self.log = (data / "server.log").open("w")
        self.server = subprocess.Popen(
            command, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        line = self.server.stdout.readline()
        if not line:
            raise ProjectError("pikiosk server ended: " + (data / "server.log").read_text()[-400:])
        said = json.loads(line)
        self.port = int(re.search(r":(\d+)$", said["listening"])[1])
        self.environment |= {"PIKIOSK_SERVER": said["listening"], "PIKIOSK_KEY_FILE": said["operator_key_file"]}

    def run(self, *words, within: float = 120) -> str:
        """What a command printed. Fails with its own words if it ends with anything but 0."""
        command = [str(self.binary), *map(str, words)]
        try:
            done = subprocess.run(
                command,
                env=self.environment,
                cwd=self.data,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=within,
            )
        except subprocess.TimeoutExpired:
            raise ProjectError(f"`pikiosk {' '.join(command[1:])}` was not done in {within:.0f} s") from None
        if done.returncode:
            said = (done.stdout + done.stderr).strip()
            raise ProjectError(f"`pikiosk {' '.join(command[1:])}` ended with {done.returncode}:\n{said}")
        return done.stdout

    def enroll(self, display: str) -> str:
        return json.loads(self.run("enroll", "--display", display, "--json"))["code"]

    def display(self, display: str) -> dict | None:
        """What the server knows of it; None: not enrolled yet."""
        known = json.loads(self.run("displays", "--json"))
        known = known if isinstance(known, list) else known["displays"]
        return next((one for one in known if one["id"] == display), None)

    def push(self, display: str, command: str, *data: str, within: int) -> list[dict]:
        """The receipts; fails if there is none in time or one tells of no success."""
        words = ["push", display, command, *data, "--wait", f"{within}s", "--json"]
        return json.loads(self.run(*words, within=within + 30))["receipts"]

    def close(self) -> None:
        self.server.terminate()
        try:
            self.server.wait(10)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()
        self.log.close()


def kiosk_toml(display: str, url: str, server_port: int, code: str) -> str:
    """What a technician would write; 10.0.2.2 is this machine, seen from inside."""
    return (
        f'[display]\nid = "{display}"\nurl = "{url}"\n\n'
        f'[server]\nurl = "http://10.0.2.2:{server_port}"\nenrollment = "{code}"\n'
    )


def flash(project: Project, image: Path, card: Path, config: Path) -> float:
    """Writes the card as a technician does: an empty file of a common size is the card. Answers the seconds it took."""
    card.unlink(missing_ok=True)
    size = 8 << 30
    while size < image.stat().st_size:
        size *= 2
    card.touch()
    os.truncate(card, size)
    began = time.monotonic()
    words = ("flash", image.resolve(), "--to", card.resolve(), "--config", config.resolve(), "--yes")
    print(project.run(*words, within=1800).rstrip(), flush=True)
    return time.monotonic() - began
