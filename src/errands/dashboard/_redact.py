"""Secrets: what is hidden of the arguments, the results and the errors of jobs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from errands import Job

HIDDEN = "•••"
WORDS = (
    "apikey", "authorization", "bearer", "cookie", "credential", "creditcard", "cvv", "iban",
    "jwt", "otp", "passphrase", "passwd", "password", "passwort", "pin", "privatekey", "pwd",
    "secret", "sessionid", "signature", "ssn", "token",
)  # fmt: skip  # a list
WHOLE = frozenset({"cvv", "iban", "jwt", "otp", "pin", "pwd", "ssn"})  # too short to be a part
IN_URL = re.compile(r"(?<=://)([^\s:/@]*):[^\s/@]+@")
SHORTEST = 6  # characters of a secret that is looked for in other texts


class Redaction:
    """Hides the values whose names say that they are secret.

    Args:
        words: More parts of names, beside those of `WORDS`; case and `_` do not count.
    """

    def __init__(self, words: Iterable[str] = ()) -> None:
        """Know the names."""
        if isinstance(words, str):
            raise TypeError(f"redact={words!r}: expected several names, such as [{words!r}]")
        added = tuple(filter(None, map(_plain, words)))
        self._parts = tuple(word for word in WORDS if word not in WHOLE) + added

    def hides(self, name: str) -> bool:
        """Whether a value of this name is secret."""
        plain = _plain(name)
        pieces = re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
        return any(part in plain for part in self._parts) or not WHOLE.isdisjoint(pieces)

    def value(self, value: Any) -> Any:
        """The value of a JSON text, without what is secret in it."""
        if isinstance(value, dict):
            return {
                name: HIDDEN if self.hides(name) and _is_secret(name, inner) else self.value(inner)
                for name, inner in value.items()
            }
        if isinstance(value, list):
            return [self.value(inner) for inner in value]
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str, secrets: Iterable[str] = ()) -> str:
        """A text without passwords in URLs, and without these secrets."""
        for secret in secrets:
            text = text.replace(secret, HIDDEN)
        return IN_URL.sub(rf"\1:{HIDDEN}@", text) if "://" in text else text

    def secrets(self, job: Job) -> list[str]:
        """The texts that are hidden in the arguments of a job, the longest first.

        An error or a result may repeat them.
        """
        return sorted({*self._secrets_in(loaded(job.payload), is_hidden=False)}, key=len)[::-1]

    def restored(self, edited: Any, original: Any) -> Any:
        """Edited arguments, with what was hidden put back where it still says that it is."""
        if edited == HIDDEN:
            return original
        if isinstance(edited, dict) and isinstance(original, dict):
            return {
                name: self.restored(inner, original[name]) if name in original else inner
                for name, inner in edited.items()
            }
        if isinstance(edited, list) and isinstance(original, list):
            rest = edited[len(original) :]
            return [self.restored(*pair) for pair in zip(edited, original, strict=False)] + rest
        if isinstance(edited, str) and isinstance(original, str) and HIDDEN in edited:
            return original if edited == self.text(original) else edited
        return edited

    def _secrets_in(self, value: Any, *, is_hidden: bool) -> Iterator[str]:
        if isinstance(value, dict):
            for name, inner in value.items():
                yield from self._secrets_in(inner, is_hidden=is_hidden or self.hides(name))
        elif isinstance(value, list):
            for inner in value:
                yield from self._secrets_in(inner, is_hidden=is_hidden)
        elif is_hidden and isinstance(value, str) and len(value) >= SHORTEST:
            yield value


def loaded(text: str | None) -> Any:
    """The value of a JSON text; the text itself if it is none, as another program may write."""
    try:
        return json.loads(text or "null")
    except ValueError:
        return text


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _is_secret(name: str, value: Any) -> bool:
    """Whether there is something to hide; `max_tokens=512` is a number of them."""
    is_number = isinstance(value, int | float)
    if value is None or value == "" or isinstance(value, bool):
        return False
    return not (is_number and name.lower().endswith("tokens"))
