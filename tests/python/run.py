"""Runs one scenario: `python tests/python/run.py NAME`; `--list` prints the names."""

import importlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import kit  # noqa: E402

for module in ("sockets", "frames", "publishing", "tokens", "tickets"):
    importlib.import_module(module)

if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        print("\n".join(sorted(kit.SCENARIOS)))
    else:
        for name in sys.argv[1:] or sorted(kit.SCENARIOS):
            print(f"=== {name}", flush=True)
            kit.SCENARIOS[name]()
