"""Secrets: what is not shown of the arguments, the results and the errors of jobs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

HIDDEN = "•••"
PARTS = (  # a name that has one of these in it is a secret's
    "apikey", "authorization", "bearer", "cookie", "credential", "creditcard", "passphrase",
    "passwd", "password", "passwort", "privatekey", "secret", "sessionid", "signature", "token",
)  # fmt: skip  # a list
WORDS = frozenset({"cvv", "iban", "jwt", "otp", "pin", "pwd", "ssn"})  # too short to be parts
HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
IN_URL = re.compile(r"(?<=://)([^\s:/@]*):[^\s/@]+@")
SHORTEST = 6  # characters of a secret that is looked for in other texts


class Redaction:
    """Hides the secrets of one job, by the names of its arguments, wherever they come up again.

    Args:
        payload: The arguments of the job, as JSON text.
        is_off: Hide nothing.
    """

    def __init__(self, payload: str, *, is_off: bool = False) -> None:
        """Know the secrets."""
        self._is_off = is_off
        self._arguments = loaded(payload)
        found = {*_secrets(self._arguments, is_hidden=False)}
        self._secrets = sorted(found, key=len, reverse=True)

    @property
    def arguments(self) -> Any:
        """The arguments, to be shown."""
        return self.value(self._arguments)

    def value(self, value: Any) -> Any:
        """A value of JSON, to be shown."""
        if self._is_off:
            return value
        if isinstance(value, dict):
            return {name: self._of(name, inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.value(inner) for inner in value]
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        """A text, to be shown: an error may quote an argument, or a URL with its password."""
        if self._is_off:
            return text
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return IN_URL.sub(rf"\1:{HIDDEN}@", text)

    def _of(self, name: str, value: Any) -> Any:
        is_told = value is None or isinstance(value, bool) or value == ""
        is_count = isinstance(value, int | float) and name.lower().endswith("tokens")
        return HIDDEN if is_secret(name) and not is_told and not is_count else self.value(value)


def is_secret(name: str) -> bool:
    """Whether a value of this name is not to be shown."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    words = re.findall(r"[a-z0-9]+", HUMP.sub("_", name).lower())
    return any(part in plain for part in PARTS) or not WORDS.isdisjoint(words)


def loaded(text: str | None) -> Any:
    """The value of a JSON text; the text itself if it is none, as another program may write."""
    try:
        return json.loads(text or "null")
    except ValueError:
        return text


def _secrets(value: Any, *, is_hidden: bool) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _secrets(inner, is_hidden=is_hidden or is_secret(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _secrets(inner, is_hidden=is_hidden)
    elif is_hidden and isinstance(value, str) and len(value) >= SHORTEST:
        yield value
