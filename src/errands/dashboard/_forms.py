"""Forms that were posted: read, without more than they may hold."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

from starlette.requests import Request

MOST = 8 << 20  # bytes: the arguments of a job, written for a form

Form = Mapping[str, list[str]]


class FormTooLarge(Exception):
    """The form has more than `MOST` bytes."""


async def read_form(request: Request) -> Form:
    """The values of each field.

    Raises:
        FormTooLarge: if there is more than `MOST`; what is beyond is not read.
    """
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MOST:
            raise FormTooLarge
    return parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)


def first(form: Form, name: str) -> str:
    """The value of a field, empty if there is none."""
    return next(iter(form.get(name, ())), "")
