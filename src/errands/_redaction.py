"""Secrets: what is not shown of the arguments, the results and the errors of jobs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

PARTS = (  # a name that has one of these in it is a secret's
    "apikey", "authorization", "bearer", "cookie", "credential", "creditcard", "passphrase",
    "passwd", "password", "passwort", "privatekey", "secret", "sessionid", "signature", "token",
)  # fmt: skip  # a list
WHOLE = frozenset({"cvv", "iban", "jwt", "otp", "pin", "pwd", "ssn"})  # too short to be parts
HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
IN_URL = re.compile(r"(?<=://)([^\s:/@]*):[^\s/@]+@")
SHORTEST = 6  # characters of a secret that is looked for in other texts


class Redaction:
    """Hides the values whose names say that they are secret, as the dashboard does.

    Args:
        words: More parts of such names, beside `password`, `token`, `secret` and others; case
            and `_` do not count.
        is_off: Hide nothing.

    Attributes:
        HIDDEN: What stands for a secret.
    """

    HIDDEN: ClassVar[str] = "•••"

    def __init__(self, words: Iterable[str] = (), *, is_off: bool = False) -> None:
        """Know the names.

        Raises:
            TypeError: if the words are one text.
        """
        if isinstance(words, str):
            raise TypeError(f"redact={words!r}: expected several names, such as [{words!r}]")
        self._parts = PARTS + tuple(filter(None, map(_plain, words)))
        self._is_off = is_off

    def hides(self, name: str) -> bool:
        """Whether a value of this name is secret."""
        plain = _plain(name)
        words = re.findall(r"[a-z0-9]+", HUMP.sub("_", name).lower())
        is_secret = any(part in plain for part in self._parts) or not WHOLE.isdisjoint(words)
        return is_secret and not self._is_off

    def secrets(self, payload: str) -> list[str]:
        """The texts that are hidden in the arguments of a job, the longest first.

        An error or a result may repeat them.

        Args:
            payload: `Job.payload`.
        """
        found = {*self._secrets_in(_loaded(payload), is_hidden=False)}
        return sorted(found, key=len, reverse=True)

    def shown(self, text: str | None, secrets: Iterable[str] = ()) -> Any:
        """The value of a JSON text, without what is secret; the text itself if it is none."""
        return self.value(_loaded(text), secrets)

    def value(self, value: Any, secrets: Iterable[str] = ()) -> Any:
        """A value of JSON, without what is secret in it."""
        if isinstance(value, dict):
            return {name: self._of(name, inner, secrets) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.value(inner, secrets) for inner in value]
        return self.text(value, secrets) if isinstance(value, str) else value

    def text(self, text: str, secrets: Iterable[str] = ()) -> str:
        """A text without passwords in URLs, and without these secrets."""
        if self._is_off:
            return text
        for secret in secrets:
            text = text.replace(secret, self.HIDDEN)
        return IN_URL.sub(rf"\1:{self.HIDDEN}@", text) if "://" in text else text

    def restored(self, edited: Any, payload: str) -> Any:
        """Edited arguments, with what was hidden put back where they still say that it is.

        Args:
            edited: What somebody made of `shown(payload)`.
        """
        return self._restored(edited, _loaded(payload))

    def _of(self, name: str, value: Any, secrets: Iterable[str]) -> Any:
        is_secret = _is_hidable(name, value) and self.hides(name)
        return self.HIDDEN if is_secret else self.value(value, secrets)

    def _secrets_in(self, value: Any, *, is_hidden: bool) -> Iterator[str]:
        if isinstance(value, dict):
            for name, inner in value.items():
                yield from self._secrets_in(inner, is_hidden=is_hidden or self.hides(name))
        elif isinstance(value, list):
            for inner in value:
                yield from self._secrets_in(inner, is_hidden=is_hidden)
        elif is_hidden and isinstance(value, str) and len(value) >= SHORTEST:
            yield value

    def _restored(self, edited: Any, original: Any) -> Any:
        if edited == self.HIDDEN:
            return original
        if isinstance(edited, dict) and isinstance(original, dict):
            return {
                name: self._restored(inner, original[name]) if name in original else inner
                for name, inner in edited.items()
            }
        if isinstance(edited, list) and isinstance(original, list):
            rest = edited[len(original) :]
            return [self._restored(*pair) for pair in zip(edited, original, strict=False)] + rest
        if isinstance(edited, str) and isinstance(original, str) and self.HIDDEN in edited:
            return original if edited == self.text(original) else edited
        return edited


def _loaded(text: str | None) -> Any:
    """The value of a JSON text; the text itself if it is none, as another program may write."""
    try:
        return json.loads(text or "null")
    except ValueError:
        return text


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _is_hidable(name: str, value: Any) -> bool:
    """Whether there is something to hide; `max_tokens=512` is a number of them."""
    if value is None or value == "" or isinstance(value, bool):
        return False
    return not (isinstance(value, int | float) and name.lower().endswith("tokens"))
