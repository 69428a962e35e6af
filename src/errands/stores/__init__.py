"""The stores, by the scheme of their URL."""

from __future__ import annotations

from importlib import import_module
from typing import cast
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from .._store import Store

SCHEMES = {
    "memory": "errands.stores.memory:MemoryStore",
    "sqlite": "errands.stores.sqlite:SQLiteStore",
    "postgresql": "errands.stores.postgres:PostgresStore",
    "postgres": "errands.stores.postgres:PostgresStore",
}


def store_at(url: str) -> Store:
    """The store that `url` names; its driver is imported only now.

    Raises:
        ValueError: if no store has this scheme, or the store cannot make sense of the rest.
    """
    scheme, colon, _ = url.partition(":")
    if not colon or scheme not in SCHEMES:
        known = ", ".join(f"{s}:" for s in SCHEMES)
        shown = without_password(url)
        raise ValueError(f"no store for {shown!r}: expected a URL that starts with one of {known}")
    module, _, name = SCHEMES[scheme].partition(":")
    return cast("Store", getattr(import_module(module), name)(url))


def without_password(url: str) -> str:
    """The URL of a store, to be shown: what could be a password is `***`."""
    main, mark, query = url.partition("?")
    try:
        parts = urlsplit(main)
    except ValueError:  # it is no URL, so nobody knows which part of it is a password
        return f"{main.partition(':')[0]}:…"
    if parts.password is not None:
        user, _, host = parts.netloc.rpartition("@")
        shown = f"{user.partition(':')[0]}:***@{host}"
        main = main.replace(parts.netloc, shown, 1)
    options = parse_qsl(query, keep_blank_values=True)
    hidden = [(name, "***" if "pass" in name.lower() else value) for name, value in options]
    return main + mark + urlencode(hidden, safe="*/:", quote_via=quote)
