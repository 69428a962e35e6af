"""Ports for servers that have to be told theirs."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

OURS = range(10_000, 32_000)  # below those that Linux gives to whoever asks for any
TRIES = 100

draw = random.SystemRandom()  # test runs that begin alike shall not draw alike


def free_port() -> int:
    """A port of the loopback interface that nobody listens on.

    The system is not asked for one: it could give the same to the next connection that
    anybody opens, before the server listens there.
    """
    for port in draw.sample(OURS, TRIES):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"of {TRIES} ports between {OURS[0]} and {OURS[-1]} none was free")
