"""The address of a PostgreSQL store: what its URL says of the server, and of us there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from psycopg import ProgrammingError, pq
from psycopg.conninfo import conninfo_to_dict

EXAMPLE = "postgresql://user:password@host:5432/database"
POOLERS = ("transaction",)
KEPT_ALIVE = {  # a server that is silent is given up within 15 seconds
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 4,
    "tcp_user_timeout": 12_000,
}


@dataclass(frozen=True, slots=True)
class Address:
    """A server, and the schema there.

    Attributes:
        shown: The address without its password, for messages.
        connection: What libpq is told.
        schema: Where the tables are; `None` for the schema that the server has us use.
        is_pooled: Whether each transaction may meet another session of the server.
    """

    shown: str
    connection: dict[str, Any] = field(repr=False)
    schema: str | None
    is_pooled: bool


def address_of(url: str) -> Address:
    """Read a URL.

    Raises:
        ValueError: if libpq cannot make sense of it, or an option is unknown.
    """
    rest, _, query = url.partition("?")
    if not rest.startswith(("postgresql://", "postgres://")):
        raise ValueError(f"{rest.partition(':')[0]}:…: write {EXAMPLE}")
    options = dict(parse_qsl(query, keep_blank_values=True))
    schema, pooler = options.pop("schema", None), options.pop("pooler", None)
    shown = _shown(rest, schema)
    _require_known(shown, options)
    if pooler is not None and pooler not in POOLERS:
        raise ValueError(f"{shown}: pooler is {' or '.join(POOLERS)}, got {pooler!r}")
    if schema is not None and not 0 < len(schema.encode()) <= 63:
        raise ValueError(f"{shown}: a schema has a name of 1 to 63 bytes, got {schema!r}")
    try:
        told = conninfo_to_dict(f"{rest}?{urlencode(options)}")
    except ProgrammingError:  # its message quotes what it does not understand: the password, too
        raise ValueError(
            f"{shown}: write {EXAMPLE}, and quote "
            "what is no letter or digit (@ as %40, : as %3A, / as %2F)"
        ) from None
    connection = {"application_name": "errands", **KEPT_ALIVE, **told, "client_encoding": "utf8"}
    return Address(shown, connection, schema, pooler is not None)


def fingerprint(*words: str) -> str:
    """A short name for long ones: 16 characters, a letter first."""
    return "e" + hashlib.blake2b("\0".join(words).encode(), digest_size=8).hexdigest()[1:]


def _require_known(shown: str, options: dict[str, str]) -> None:
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    unknown = sorted(set(options) - known - {"ssl"})
    if unknown:
        raise ValueError(
            f"{shown}: unknown option {unknown[0]!r}, expected schema, pooler, or one of libpq's, "
            "as sslmode"
        )


def _shown(rest: str, schema: str | None) -> str:
    """The URL, but for its password and most of its options."""
    scheme, _, place = rest.partition("://")
    user, at, where = place.rpartition("@")
    chosen = f"?schema={schema}" if schema is not None else ""
    return f"{scheme}://{user.partition(':')[0]}{at}{where}{chosen}"
