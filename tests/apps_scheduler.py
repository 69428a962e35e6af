"""An application with schedules, for worker processes and servers; `ERRANDS_URL`, as elsewhere.

ONCE     the instant of the only tick of `MANY` schedules, in seconds since 1970
MANY     how many
OFTEN    how many schedules come each half second, from `ONCE` on
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from errands import Errands, every
from errands.starlette import setup_errands

errands = Errands(grace=1, lease=5)
once = datetime.fromtimestamp(float(os.environ["ONCE"]), UTC)


@errands.task(name="note")
async def note(text: str) -> None:
    """Do nothing: that it ran stands in the store."""


for number in range(int(os.environ.get("MANY", "0"))):
    spec = every(hours=1, start=once, until=once, missed="all")
    errands.schedule(spec, str(number), name=f"once {number}")(note)

for number in range(int(os.environ.get("OFTEN", "0"))):
    spec = every(seconds=0.5, start=once, missed="all")
    errands.schedule(spec, str(number), name=f"often {number}")(note)


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


app = Starlette(routes=[Route("/", hello)])
setup_errands(app, errands)
