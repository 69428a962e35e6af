"""A PostgreSQL database looked at before it is opened as a store: nothing is made or upgraded."""

from __future__ import annotations

import psycopg

from ..._examination import Examination
from ...errors import NotAStore
from . import _schema
from ._address import Address
from ._errors import translated
from ._link import Link, Session


async def examine(address: Address) -> Examination:
    """See `Examinable.examine`."""
    link = Link(address, {})
    try:
        connection = await link.connection()
        number = connection.info.server_version
        schema = await _schema.schema_of(connection, address.schema)
        found = await _schema.version_of(Session(connection, schema), schema, address.shown)
    except psycopg.Error as error:
        raise translated(error, address.shown) from error
    finally:
        await link.close()
    if found is None:
        raise NotAStore(
            f"{address.shown} has no jobs of Errands in the schema {schema!r}: correct the "
            "database, or name another schema, ?schema=errands. An application or a worker makes "
            "the tables when it starts for the first time."
        )
    return Examination(
        engine=f"PostgreSQL {number // 10_000}.{number % 10_000}",
        schema=found,
        known=_schema.VERSION,
    )
