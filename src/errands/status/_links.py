"""Links to jobs and groups: signed, and good for those only for whom they were made."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlencode

from starlette.requests import HTTPConnection, Request

from .. import BackgroundTasks, Errands, Group, Job

try:
    from itsdangerous import Signer
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "links to jobs are signed by itsdangerous: pip install 'errands[fastapi]', or [starlette]",
        name=error.name,
    ) from error

StatusKey = Callable[[Any], Any]

JOBS = "/_errands/jobs"
GROUPS = "/_errands/groups"
PLAIN = re.compile(r"[\w.-]+", re.ASCII)  # what no server and no client changes in an address
CODED = "~"  # begins what stands for a name with other signs


class Links:
    """Makes the links to jobs and groups of one application, and tells its own from others.

    Args:
        errands: Whose store has the secret, if none is given.
        secret: What to sign with; all processes of the application need the same one.
        status_key: Asked with the request whom a link is for: something that JSON can say.
            A link is good where the answer is the same again.
    """

    def __init__(
        self, errands: Errands, secret: str | bytes | None, status_key: StatusKey | None
    ) -> None:
        """Sign nothing yet: the store is closed.

        Raises:
            ValueError: if the secret is empty.
        """
        if secret is not None and not secret:
            raise ValueError("setup_errands(secret=''): expected a text that nobody can guess")
        self.errands, self._status_key = errands, status_key
        self._signer = None if secret is None else _signer(secret)

    async def open(self) -> None:
        """Have a secret, if need be the one of the store, which is open now."""
        if self._signer is None:
            self._signer = _signer(await self.errands.secret())

    def of(self, what: Job | Group) -> Callable[..., str]:
        """What makes the links to a job or a group: see `to`."""
        if isinstance(what, Group):
            return partial(self.to, what.name, among=GROUPS)
        return partial(self.to, what.id)

    def to(
        self, name: str, *, among: str = JOBS, end: str = "", view: str = "", **query: str
    ) -> str:
        """The path of a job, from the root of the server, for whoever made this request.

        Args:
            name: The id of the job, or the name of a group.
            among: `JOBS` or `GROUPS`; part of what is signed.
            end: What is wanted of it: nothing for its state, `/events` for the stream.
            view: As what it is shown; part of what is signed.
            query: Added as it is.

        Raises:
            NoRequest: outside of a request.
        """
        here = BackgroundTasks.of()
        part = _part_of(name)
        signed = self._signed(among, part, view, here.scope)
        signature = self._ready_signer.get_signature(signed).decode()
        wanted = {"view": view, **query} if view else query
        mark = "?" if wanted else ""
        return f"{here.root}{among}/{part}.{signature}{end}{mark}{urlencode(wanted)}"

    def opened(self, request: Request, *, among: str = JOBS) -> str | None:
        """The id or the name that a request's link is to; `None` if it was not made for it."""
        part, _, signature = str(request.path_params["token"]).rpartition(".")
        view = request.query_params.get("view", "")
        signed = self._signed(among, part, view, request.scope)
        return _name_of(part) if self._ready_signer.verify_signature(signed, signature) else None

    @property
    def _ready_signer(self) -> Signer:
        assert self._signer is not None, "the middleware makes us ready before any request"
        return self._signer

    def _signed(self, among: str, part: str, view: str, scope: Mapping[str, Any]) -> str:
        return json.dumps([among, part, view, self._key(scope)])

    def _key(self, scope: Mapping[str, Any]) -> Any:
        if self._status_key is None:
            return None
        of_request = Request if scope["type"] == "http" else HTTPConnection
        return self._status_key(of_request(dict(scope)))


def _part_of(name: str) -> str:
    if PLAIN.fullmatch(name):
        return name
    return CODED + urlsafe_b64encode(name.encode()).decode().rstrip("=")


def _name_of(part: str) -> str:
    """The name for which a part of an address stands that we have made."""
    if not part.startswith(CODED):
        return part
    return urlsafe_b64decode(part.removeprefix(CODED) + "==").decode()


def _signer(secret: str | bytes) -> Signer:
    return Signer(secret, salt="errands.links", key_derivation="hmac", digest_method=hashlib.sha256)
