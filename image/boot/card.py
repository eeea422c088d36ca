"""Which image to boot, and how to lay a file on a card without mounting it."""

import subprocess
from pathlib import Path

from .machine import MachineError


def newest_image(root: Path) -> Path:
    images = sorted((root / "target/image").glob("*.img"), key=lambda image: image.stat().st_mtime)
    if not images:
        raise MachineError("there is no image in target/image: build one with `make image`, or name one")
    return images[-1]


def root_partition(card: Path) -> int:
    """Where the card's second partition begins, in bytes: its ext4."""
    with card.open("rb") as file:
        table = file.read(512)
    start = int.from_bytes(table[462 + 8 : 462 + 12], "little") * 512
    if table[462 + 4] != 0x83 or not start:
        raise MachineError(f"{card} has no Linux partition second")
    return start


def on_root(card: Path, *commands: str) -> str:
    """Runs debugfs(8) on the card's root file system, which writes only because it is told to."""
    place = f"{card}?offset={root_partition(card)}"
    done = subprocess.run(
        ["debugfs", "-w", "-f", "-", place], input="\n".join(commands), capture_output=True, text=True, check=True
    )
    return done.stdout


def put(card: Path, path: str, content: str, work: Path, owner: int = 0, mode: int = 0o100644) -> None:
    """Lays a file on the root file system, in place of one that is there; its folder must be there."""
    source = work / "put"
    back = work / "put-back"
    source.write_text(content)
    fields = (("mode", f"0{mode:o}"), ("uid", owner), ("gid", owner))
    on_root(card, f"rm {path}", f"write {source} {path}", *(f"sif {path} {name} {value}" for name, value in fields))
    on_root(card, f"dump {path} {back}")
    if not back.exists() or back.read_text() != content:
        raise MachineError(f"{path} could not be laid on {card}")
    back.unlink()
