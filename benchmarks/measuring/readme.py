"""Runs the benchmarks that are named, or all, and writes what they print into README.md.

python benchmarks/measuring/readme.py throughput adding
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent.parent


def main(names: list[str]) -> None:
    """Replace the block of text below each command by what the command prints now."""
    readme = HERE / "README.md"
    for name in names or sorted(script.stem for script in HERE.glob("*.py")):
        command = [sys.executable, str(HERE / f"{name}.py")]
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        print(printed, flush=True)
        before, head, rest = readme.read_text().partition(
            f"`python benchmarks/{name}.py`\n\n```text\n"
        )
        if not head:
            raise SystemExit(f"{readme.name} has no block for {name}.py")
        after = rest.partition("```")[2]
        printed = "\n".join(line.rstrip() for line in printed.strip().splitlines())
        readme.write_text(f"{before}{head}{printed}\n```{after}")


if __name__ == "__main__":
    main(sys.argv[1:])
