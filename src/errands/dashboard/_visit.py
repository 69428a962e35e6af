"""A visit: one request for a page, and the site that it is for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TypeAlias
from urllib.parse import quote, urlencode

from starlette.requests import Request

from errands import Errands, Redaction, Tally

from ._glance import Counts, Glance
from ._guard import WHO
from ._markup import Markup

SAID = ("told", "n", "left")  # in an address: what an action has to say that led there


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One dashboard.

    Attributes:
        counts: How many jobs there are.
        hour: What ended within the last hour.
        assets: The address below the dashboard of each static file, by its name.
    """

    errands: Errands
    redaction: Redaction
    read_only: bool
    counts: Glance[Counts]
    hour: Glance[Sequence[Tally]]
    assets: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Page:
    """What a page shows.

    Attributes:
        title: Its heading, also in the title of the window.
        live: Seconds after which it is looked up again; `None` for one that does not change.
        status: That of the response.
    """

    title: str
    body: Markup
    live: float | None = None
    status: int = 200


class Visit:
    """One request.

    Args:
        site: The dashboard.
        request: What the browser sent.
    """

    def __init__(self, site: Site, request: Request) -> None:
        """Look at the clock."""
        self.site, self.request = site, request
        self.errands, self.redaction = site.errands, site.redaction
        self.base: str = request.scope.get("root_path", "").rstrip("/")
        self.now: datetime = site.errands.now()

    @property
    def who(self) -> str:
        """Who was let in."""
        return str(self.request.scope[WHO])

    @property
    def may_act(self) -> bool:
        """Whether there are buttons."""
        return not self.site.read_only

    @cached_property
    def query(self) -> dict[str, str]:
        """What the address asks for; what is empty is left out, and NUL, which no store keeps."""
        asked = self.request.query_params.items()
        return {name: value.replace("\0", "") for name, value in asked if value.strip("\0")}

    @property
    def path(self) -> str:
        """Where we are, below the dashboard."""
        return self.request.url.path.removeprefix(self.base)

    @property
    def here(self) -> str:
        """Where we are, with what was asked for, and not with what an action had to say."""
        return self.link(self.path, **{**self.query, **dict.fromkeys(SAID)})

    def link(self, path: str, /, **query: str | None) -> str:
        """An address below the dashboard."""
        given = {name: value for name, value in query.items() if value}
        asked = urlencode(given, errors="replace")  # half of a character is in no address
        return f"{self.base}/{quote(path.lstrip('/'))}{'?' if asked else ''}{asked}"

    def changed(self, **query: str | None) -> str:
        """Where we are, with something else asked for."""
        return self.link(self.path, **{**self.query, **dict.fromkeys(SAID), **query})

    def asset(self, name: str) -> str:
        """The address of a static file."""
        return f"{self.base}/{self.site.assets[name]}"

    async def counts(self) -> Counts | None:
        """How many jobs each queue has in each state."""
        return await self.site.counts.answer()

    async def hour(self) -> Sequence[Tally] | None:
        """What ended within the last hour, by the minute."""
        return await self.site.hour.answer()


PageOf: TypeAlias = Callable[[Visit], Awaitable[Page]]
