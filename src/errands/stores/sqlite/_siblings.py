"""The processes that share one SQLite file: who of them lives, and how to wake them.

Beside the file stands a folder. Each worker has a file there that it keeps locked (`flock`),
which the operating system undoes when its process dies, however it dies; and a datagram
socket by which the others tell it that there is news. Where the system has neither, leases
and polling do the work, only later.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .. import _fork

try:
    import fcntl
except ImportError:  # Windows
    HAS_LOCKS = False
else:
    HAS_LOCKS = True

SETTLED = 0.1  # seconds after which a folder's time tells whether it has changed since
LONGEST = 100  # bytes in the path of a socket; Linux takes 107, macOS 103


class Siblings:
    """The other workers on one file.

    Args:
        folder: Where their locks and sockets are.
        heard: Called in the event loop when another process has news.
    """

    def __init__(self, folder: Path, heard: Callable[[], object]) -> None:
        """Touch nothing yet."""
        self._folder, self._heard = folder, heard
        self._locks: dict[str, int] = {}
        self._ears: dict[str, socket.socket] = {}
        self._mouth: socket.socket | None = None
        self._seen: tuple[int, list[str]] = -1, []  # the folder's time, and the others' sockets
        self._ringing: asyncio.Handle | None = None

    def enlist(self, worker: str) -> None:
        """Lock this worker's file for as long as the process lives, and listen."""
        if not HAS_LOCKS:
            return
        self._folder.mkdir(exist_ok=True)
        self._locks[worker] = _locked(self._folder / f"{worker}.lock")
        _fork.hold(self._locks[worker])
        self._listen(worker)

    def dead(self) -> Iterator[str]:
        """The workers whose process died. Each is forgotten once the caller asks for the next."""
        if not HAS_LOCKS:
            return
        for path in self._folder.glob("*.lock"):
            worker = path.stem
            if worker in self._locks:
                continue
            lock = _free(path)
            if lock is None:
                continue
            try:
                yield worker
                path.with_suffix(".sock").unlink(missing_ok=True)
                path.unlink(missing_ok=True)
            finally:
                os.close(lock)

    def ring(self) -> None:
        """Tell the others that there is news: once, however often it is asked for now."""
        if self._ringing is None:
            self._ringing = asyncio.get_running_loop().call_soon(self._ring)

    def close(self) -> None:
        """Leave: close the sockets, then let go of the locks."""
        if self._ringing is not None:
            self._ringing.cancel()
            self._ring()
        loop = asyncio.get_running_loop()
        for worker, ear in self._ears.items():
            loop.remove_reader(ear)
            ear.close()
            (self._folder / f"{worker}.sock").unlink(missing_ok=True)
        for worker, lock in self._locks.items():
            (self._folder / f"{worker}.lock").unlink(missing_ok=True)
            _fork.release(lock)
        if self._mouth is not None:
            self._mouth.close()
        self._ears, self._locks, self._mouth = {}, {}, None
        with contextlib.suppress(OSError):  # others are in it, or it never was
            self._folder.rmdir()

    def _listen(self, worker: str) -> None:
        ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ear.setblocking(False)
        try:
            with self._address(f"{worker}.sock") as address:
                ear.bind(address)
            asyncio.get_running_loop().add_reader(ear, self._hear, ear)
        except (OSError, NotImplementedError):  # a file system or a loop without sockets: polling
            ear.close()
            return
        self._ears[worker] = ear

    def _hear(self, ear: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                ear.recv(1)
        self._heard()

    def _ring(self) -> None:
        self._ringing = None
        if not HAS_LOCKS:
            return
        if self._mouth is None:
            self._mouth = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._mouth.setblocking(False)
        for name in self._sockets():
            with contextlib.suppress(OSError), self._address(name) as address:
                self._mouth.sendto(b"!", address)  # full: it will look anyway; gone: it is dead

    def _sockets(self) -> list[str]:
        """Those of the others; read again only when the folder has changed, as this is often asked.

        A change in the same tick of the file system's clock could go unseen, so that a time
        which is not past for long says nothing: what git calls racy.
        """
        try:
            changed = os.stat(self._folder).st_mtime_ns  # noqa: PTH116  # on a hot path
            if changed == self._seen[0]:
                return self._seen[1]
            names = os.listdir(self._folder)  # noqa: PTH208  # names alone
        except FileNotFoundError:
            return []
        mine = {f"{worker}.sock" for worker in self._ears}
        sockets = [name for name in names if name.endswith(".sock") and name not in mine]
        if time.time_ns() - changed > SETTLED * 1e9:
            self._seen = changed, sockets
        return sockets

    @contextlib.contextmanager
    def _address(self, name: str) -> Iterator[str]:
        """The path of a socket, made shorter where it is longer than an address may be."""
        path = str(self._folder / name)
        if len(os.fsencode(path)) <= LONGEST or not sys.platform.startswith("linux"):
            yield path
            return
        folder = os.open(self._folder, os.O_PATH)
        try:
            yield f"/proc/self/fd/{folder}/{name}"
        finally:
            os.close(folder)


def _locked(path: Path) -> int:
    """Create the file and lock it. It may vanish in between, taken for a dead worker's."""
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(lock).st_ino:
                return lock
        os.close(lock)


def _free(path: Path) -> int | None:
    """The file, locked by us, if its worker has let go of it."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
