"""A FastHTML application with Errands whose background tasks leave notes, for tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

from fasthtml.common import FastHTML
from starlette.testclient import TestClient

from errands import Errands, Job
from errands.fasthtml import setup_errands

Handler = Callable[..., Any]
PATIENCE = 10.0  # seconds within which what must happen has happened, on a busy machine


class Site:
    """One application, what it keeps jobs in, and the notes that its tasks left.

    Args:
        folder: Where FastHTML may keep its session key.
        is_durable: Whether `note` is a declared task.
        is_async: Whether handlers that `get` and `post` register become coroutine functions.
        setup: Options of `setup_errands`.
        options: For `FastHTML`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        is_durable: bool = False,
        is_async: bool = False,
        url: str = "memory:",
        setup: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.is_durable, self.is_async = is_durable, is_async
        self.errands = Errands(url, grace=PATIENCE)
        self.app: Any = FastHTML(key_fname=str(folder / ".sesskey"), **options)
        setup_errands(self.app, self.errands, **setup or {})
        self.notes: list[str] = []
        self._change = threading.Condition()
        self.note: Callable[[str], None] = self._leave_note
        if is_durable:
            self.errands.task(name="note")(self._leave_note)

    def get(self, path: str) -> Callable[[Handler], Handler]:
        return self._register(self.app.get, path)

    def post(self, path: str) -> Callable[[Handler], Handler]:
        return self._register(self.app.post, path)

    def client(self) -> TestClient:
        """A browser that follows no redirect and gets a 500 where the handler raised."""
        return TestClient(self.app, raise_server_exceptions=False, follow_redirects=False)

    def visit(self, path: str, **request: Any) -> Any:
        """Start the application, ask for one page, stop it: then its background has ended."""
        with self.client() as client:
            return client.get(path, **request)

    def jobs(self) -> list[Job]:
        """What the store keeps, newest first; for a site that is not open."""

        async def look() -> list[Job]:
            async with self.errands:
                return await self.errands.jobs()

        return asyncio.run(look())

    def wait_for_notes(self, count: int) -> None:
        """Return once so many notes were left."""
        with self._change:
            if not self._change.wait_for(lambda: len(self.notes) >= count, PATIENCE):
                raise TimeoutError(f"waited for {count} notes, there are {self.notes!r}")

    def _leave_note(self, text: str) -> None:
        with self._change:
            self.notes.append(text)
            self._change.notify_all()

    def _register(self, method: Any, path: str) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            method(path)(as_async(handler) if self.is_async else handler)
            return handler

        return register


def as_async(handler: Handler) -> Handler:
    """The same handler as a coroutine function."""

    @wraps(handler)
    async def handle(*args: Any, **kwargs: Any) -> Any:
        return handler(*args, **kwargs)

    return handle
