"""Twisted and Errands in one event loop: a Twisted site adds jobs, and a job uses Twisted.

Twisted's asyncio reactor runs on an ordinary asyncio loop, in which Errands works beside it.
Each can wait for the other: `asFuture` makes a future of a `Deferred`, and
`Deferred.fromFuture` the reverse.

Start it by `python examples/twisted_site.py`, and have it look at a page, its own here:

    curl -d url=http://127.0.0.1:5003/ http://127.0.0.1:5003/
    curl http://127.0.0.1:5003/

    ERRANDS_URL     the store; `sqlite:///errands.db` in the current folder
    PORT            5003
"""

import asyncio
import json
import os
from collections.abc import Coroutine
from typing import Any

from twisted.internet import asyncioreactor

loop = asyncio.new_event_loop()
asyncioreactor.install(loop)  # before anything else imports the reactor

from twisted.internet import endpoints  # noqa: E402
from twisted.internet import reactor as installed  # noqa: E402
from twisted.internet.defer import Deferred  # noqa: E402
from twisted.web.client import Agent  # noqa: E402
from twisted.web.resource import Resource  # noqa: E402
from twisted.web.server import NOT_DONE_YET, Request, Site  # noqa: E402

from errands import Errands  # noqa: E402

reactor: Any = installed
errands = Errands(grace=5)


@errands.task(name="look", timeout=30)
async def look(url: str) -> int:
    response = await Agent(reactor).request(b"GET", url.encode()).asFuture(loop)
    return int(response.code)


class Looks(Resource):
    isLeaf: int = True  # noqa: N815  # Twisted asks for this name

    def render_GET(self, request: Request) -> int:
        return answered(request, all_looks())

    def render_POST(self, request: Request) -> int:
        [url] = request.args.get(b"url", [b""])
        return answered(request, new_look(url.decode()))


async def all_looks() -> list[dict[str, Any]]:
    jobs = await errands.jobs(task="look")
    return [{"id": job.id, "state": job.state, "result": job.result} for job in jobs]


async def new_look(url: str) -> dict[str, Any]:
    job = await errands.add_task(look, url)
    return {"id": job.id}


def answered(request: Request, work: Coroutine[Any, Any, Any]) -> int:
    """Answer the request with what comes of this, as soon as it is there."""

    async def answer() -> None:
        request.write(json.dumps(await work).encode() + b"\n")
        request.finish()

    _ = Deferred.fromFuture(loop.create_task(answer())).addErrback(request.processingFailed)
    return NOT_DONE_YET


async def live(stop: asyncio.Event) -> None:
    """Run jobs and serve, until the reactor is to stop."""
    async with errands.working():
        address = f"tcp:{os.environ.get('PORT', '5003')}:interface=127.0.0.1"
        endpoint = endpoints.serverFromString(reactor, address)
        site = Site(Looks())  # type: ignore[no-untyped-call]  # Twisted's resources have no types
        port = await endpoint.listen(site).asFuture(loop)
        print(f"running on http://127.0.0.1:{port.getHost().port}", flush=True)
        await stop.wait()
        port.stopListening()


def main() -> None:
    stop = asyncio.Event()
    life = loop.create_task(live(stop))

    def end() -> Deferred[Any]:  # also at SIGINT and SIGTERM; the reactor waits for it
        stop.set()
        return Deferred.fromFuture(loop.create_task(asyncio.wait({life})))

    reactor.addSystemEventTrigger("before", "shutdown", end)
    life.add_done_callback(lambda _: None if stop.is_set() else reactor.stop())
    reactor.run()
    life.result()  # raises what kept it from starting
    print("stopped")


if __name__ == "__main__":
    main()
