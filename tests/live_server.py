"""Programs in processes of their own, as a user starts them: servers and short scripts."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE = 30.0  # seconds within which a program must have started, answered or ended
LISTENS = re.compile(r"running on (http://127\.0\.0\.1:\d+)")


def environment(**more: str) -> dict[str, str]:
    """The variables of a program that knows nothing of this test run."""
    ours = ("COVERAGE_", "ERRANDS_", "PHOTOS_", "PORT", "PYTEST_", "PYTHON", "VIRTUAL_ENV")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**inherited, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", **more}


class Server:
    """A web server in a process of its own, for the length of a `with` block.

    It chooses a free port by itself and says on its output which one. At the end of the block
    it is asked to stop, and has to do so cleanly.

    Args:
        command: What starts it.
        folder: Where it is started.
        variables: Its environment.
        farewell: What it says when it has stopped in order.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        folder: Path,
        variables: Mapping[str, str],
        farewell: str = "Application shutdown complete.",
    ) -> None:
        self.command, self.folder, self.variables = command, folder, variables
        self.farewell = farewell
        self.url = ""
        self.lines: list[str] = []
        self._has_ended = False
        self._news = threading.Condition()

    @property
    def output(self) -> str:
        """All that it has printed and logged so far."""
        return "\n".join(self.lines)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self.command,
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, name="server output")
        self._reader.start()
        try:
            self._wait_for_url()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.returncode is not None:  # killed on purpose
            return
        self.stop()
        if error is None:
            assert self.farewell in self.output, self.output

    def wait_for(self, text: str) -> None:
        """Return once it has printed this."""
        with self._news:
            if not self._news.wait_for(lambda: text in self.output, PATIENCE):
                raise TimeoutError(f"{text!r} was not printed:\n{self.output}")

    def kill(self) -> None:
        """End it by SIGKILL: nothing of it runs any more."""
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def stop(self) -> None:
        """Ask it to end, and return once it has."""
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise TimeoutError(f"{self.command} did not stop:\n{self.output}") from None
        self._reader.join()

    def _wait_for_url(self) -> None:
        with self._news:
            self._news.wait_for(lambda: self.url or self._has_ended, PATIENCE)
        if not self.url:
            raise RuntimeError(f"{self.command} does not listen:\n{self.output}")

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                with self._news:
                    self.lines.append(line.rstrip("\n"))
                    if found := LISTENS.search(line):
                        self.url = found[1]
                    self._news.notify_all()
        with self._news:
            self._has_ended = True
            self._news.notify_all()


def run(
    command: Sequence[str | Path], folder: Path, variables: Mapping[str, str] | None = None
) -> str:
    """Run a program to its end and return what it printed; it has to end well."""
    ended = subprocess.run(
        command,
        cwd=folder,
        env=environment() if variables is None else variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=10 * PATIENCE,
        check=False,
    )
    assert 0 == ended.returncode, f"{command} ended with {ended.returncode}:\n{ended.stdout}"
    return ended.stdout
