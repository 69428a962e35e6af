"""A visitor of a dashboard that is mounted in an application, without a server between."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from typing import Any

from httpx import ASGITransport, AsyncClient, Response
from starlette.applications import Starlette
from starlette.routing import Mount

from errands import Errands
from errands.dashboard import dashboard

OURS = {"sec-fetch-site": "same-origin"}  # what a browser says of a form of the same site


@asynccontextmanager
async def visitor(
    errands: Errands, *, host: str = "127.0.0.1", name: str = "localhost", **options: Any
) -> AsyncIterator[AsyncClient]:
    """Visits the dashboard below `/errands`.

    Args:
        host: The address that the visitor comes from.
        name: What the visitor calls this machine.
        options: For the dashboard.
    """
    app = Starlette(routes=[Mount("/errands", dashboard(errands, **options))])
    transport = ASGITransport(app, client=(host, 50_000))
    async with AsyncClient(transport=transport, base_url=f"http://{name}/errands/") as client:
        yield client


def text_of(answer: Response) -> str:
    """What somebody reads on the page, all on one line."""
    assert answer.status_code == 200, answer.text
    body = re.sub(r"<head>.*?</head>|<dialog.*?</dialog>", "", answer.text, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def rows_of(answer: Response) -> list[str]:
    """What somebody reads in each row of the tables."""
    bodies = re.sub(r"<thead>.*?</thead>", "", answer.text, flags=re.DOTALL)
    rows = re.findall(r"<tr>(.*?)</tr>", bodies, re.DOTALL)
    return [" ".join(unescape(re.sub(r"<[^>]+>", " ", row)).split()) for row in rows]
