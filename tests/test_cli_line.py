"""The line between a worker process and its parent."""

from __future__ import annotations

import subprocess
import sys

import pytest
from live_server import PATIENCE

FULL = """
import os
import socket

from errands.cli._line import Line
from errands.cli._report import Report, decode, encode

ours, theirs = socket.socketpair()
theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
line = Line(theirs.detach())
line.grace, line.ask = 0.0, lambda: None


def report(number):
    return Report(name="w" * 300, running=number, slots=1, ready=True, grace=1)


for number in range(100_000):  # nobody reads
    line.tell(report(number))
text, ours_number = b"", 100_000
ours.setblocking(False)
while ours_number < 100_100:
    try:
        text += ours.recv(100)
    except BlockingIOError:
        line.tell(report(ours_number))
        ours_number += 1
*lines, rest = text.split(b"\\n")
told = [decode(line).running for line in lines]
assert told == sorted(set(told)), "each comes whole, and in order"
assert 0 == told[0] and 100_000 < told[-1], "and the last ones are fresh"
print("well", flush=True)
os._exit(0)
"""

GONE = """
import os
import socket
import threading

from errands.cli._line import Line

ours, theirs = socket.socketpair()
line = Line(theirs.detach())
asked = threading.Event()
if {has_started}:
    line.ask = asked.set
ours.close()
print(asked.wait({patience}), flush=True)
os._exit(0)
"""


def outcome(code: str) -> tuple[int, str]:
    """The exit status of a program, and what it said."""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.slow
def test_a_parent_that_does_not_read_keeps_nobody_waiting() -> None:
    """Reports are left out then, and none is cut off."""
    assert (0, "well\n") == outcome(FULL)


@pytest.mark.slow
def test_who_works_is_asked_to_stop_when_the_parent_is_gone() -> None:
    """By a thread, whatever the event loop does."""
    assert (0, "True\n") == outcome(GONE.format(has_started=True, patience=PATIENCE))


@pytest.mark.slow
def test_who_only_starts_ends_at_once_when_the_parent_is_gone() -> None:
    """There is nothing to hand back."""
    assert (1, "") == outcome(GONE.format(has_started=False, patience=PATIENCE))
