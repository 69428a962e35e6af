"""Errands around any ASGI application: `ErrandsMiddleware(app, errands)`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from asgi_driver import Peer, alive, browser, visiting

from errands import BackgroundTasks, Declared, Errands, State
from errands.asgi import App, ErrandsMiddleware, Message, Receive, Scope, Send
from errands.errors import StoreUnavailable
from errands.stores.memory import MemoryStore
from errands.testing import drain

Keep = Declared[[str], None]


class MoodyStore(MemoryStore):
    """A store that is away while `is_away`."""

    is_away = False

    async def add(self, *args: Any) -> Any:
        """Add, or be away."""
        if self.is_away:
            raise StoreUnavailable("gone fishing")
        return await super().add(*args)


class SlowStore(MemoryStore):
    """A store whose writing can be watched, and kept waiting; it ends whatever becomes of us."""

    def __init__(self) -> None:
        super().__init__()
        self.writes, self.go_on = asyncio.Event(), asyncio.Event()

    async def add(self, *args: Any) -> Any:
        """Wait for the signal, then add."""
        self.writes.set()
        return await asyncio.shield(asyncio.ensure_future(self._add(*args)))

    async def _add(self, *args: Any) -> Any:
        await self.go_on.wait()
        return await super().add(*args)


@pytest.fixture
def notes() -> list[str]:
    """What tasks have written down, in the order in which they ran."""
    return []


@pytest.fixture
def keep(errands: Errands, notes: list[str]) -> Keep:
    """A declared task; a plain `notes.append` is its local counterpart."""
    return declared(errands, notes)


def declared(errands: Errands, notes: list[str]) -> Keep:
    """A task that writes down what it is given."""

    @errands.task(name="keep")
    def keep(text: str) -> None:
        notes.append(text)

    return keep


async def answer(send: Send, status: int = 200, body: bytes = b"x") -> None:
    """Send a whole response."""
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


def raw(handle: Callable[[str, Send], Awaitable[None]]) -> App:
    """An application without a framework, that knows requests and nothing else."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not known here")
        await handle(scope["path"], send)

    return app


# ---------------------------------------------------------------- the lifespan


def refuses(scope: Scope) -> None:
    raise AssertionError(scope["type"])


def ignores(scope: Scope) -> None:
    return


@pytest.mark.parametrize("reaction", [refuses, ignores])
async def test_for_an_application_without_a_lifespan_we_answer(
    errands: Errands, notes: list[str], keep: Keep, reaction: Callable[[Scope], None]
) -> None:
    """One that raises, as Django does, or returns: tasks run beside requests all the same."""
    go_on = asyncio.Event()

    async def wait() -> None:
        await go_on.wait()
        notes.append("local")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            reaction(scope)
            return
        BackgroundTasks.of().add_task(keep, "job")
        BackgroundTasks.of().add_task(wait)
        await answer(send)

    peer = Peer()
    wrapped = ErrandsMiddleware(app, errands)
    async with alive(wrapped) as told:
        was_open = errands.is_open
        await peer.get(wrapped)
        go_on.set()
        await drain(errands)
        assert await errands.result((await errands.jobs())[0].id, timeout=1) is None

    assert was_open
    assert not errands.is_open
    assert ["lifespan.startup.complete", "lifespan.shutdown.complete"] == told
    assert 200 == peer.status
    assert ["job", "local"] == sorted(notes)


async def test_the_lifespan_of_an_application_goes_around_ours(errands: Errands) -> None:
    """Open after its start-up, closed before its shutdown."""
    seen: list[tuple[str, bool]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for kind in ("startup", "shutdown"):
            message = await receive()
            seen.append((message["type"], errands.is_open))
            await send({"type": f"lifespan.{kind}.complete"})
            seen.append((f"{kind} complete", errands.is_open))

    async with alive(ErrandsMiddleware(app, errands)):
        pass

    assert [
        ("lifespan.startup", False),
        ("startup complete", True),
        ("lifespan.shutdown", False),
        ("shutdown complete", False),
    ] == seen


async def test_an_application_whose_start_up_fails_is_not_served(errands: Errands) -> None:
    """Its word goes to the server as it is, and nothing is opened."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no pool"})

    with pytest.raises(RuntimeError, match=r"startup\.failed"):
        async with alive(ErrandsMiddleware(app, errands)):
            pytest.fail("it was served")
    assert not errands.is_open


async def test_an_application_that_raises_in_its_start_up_is_not_served(errands: Errands) -> None:
    """It knows the lifespan, so this is not for us to answer."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise ValueError("no pool")

    with pytest.raises(ValueError, match="no pool"):
        async with alive(ErrandsMiddleware(app, errands)):
            pytest.fail("it was served")
    assert not errands.is_open


async def test_an_application_that_ends_in_its_shutdown_leaves_us_closed(errands: Errands) -> None:
    """Also if it raises there."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise ValueError("the pool leaks")

    with pytest.raises(ValueError, match="the pool leaks"):
        async with alive(ErrandsMiddleware(app, errands)):
            assert errands.is_open
    assert not errands.is_open


async def test_a_lifespan_that_is_cancelled_leaves_us_closed(errands: Errands) -> None:
    """As by a server that is told to stop twice."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()

    started = asyncio.Event()
    asked = asyncio.Queue[Message]()
    asked.put_nowait({"type": "lifespan.startup"})

    async def send(message: Message) -> None:
        started.set()

    wrapped = ErrandsMiddleware(app, errands)
    lifespan = asyncio.create_task(_run(wrapped({"type": "lifespan"}, asked.get, send)))
    await started.wait()
    was_open = errands.is_open
    lifespan.cancel()
    with pytest.raises(asyncio.CancelledError):
        await lifespan

    assert was_open
    assert not errands.is_open


async def test_a_store_that_cannot_be_opened_fails_the_start_up(tmp_path: Path) -> None:
    """Of an application without a lifespan, too: the server is told, or sees the error."""
    errands = Errands(f"sqlite:///{tmp_path}/missing/errands.db")
    wrapped = ErrandsMiddleware(raw(lambda path, send: answer(send)), errands)

    with pytest.raises(StoreUnavailable, match="missing"):
        async with alive(wrapped):
            pytest.fail("it was served")
    assert not errands.is_open


async def test_a_process_may_add_jobs_and_run_none(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """With `work=False` jobs wait in the store; local tasks run, since nobody else could."""

    async def handle(path: str, send: Send) -> None:
        BackgroundTasks.of().add_task(keep, "job")
        BackgroundTasks.of().add_task(notes.append, "local")
        await answer(send)

    app = ErrandsMiddleware(raw(handle), errands, work=False)
    async with visiting(app) as client:
        await client.get("/")
        async with asyncio.timeout(5):
            while errands.pending:  # noqa: ASYNC110  # it has no event
                await asyncio.sleep(0.001)
        [job] = await errands.jobs()

    assert ["local"] == notes
    assert (State.QUEUED, 0) == (job.state, job.attempt)


async def test_what_a_process_without_work_stored_another_runs(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """The job lies in the store as any other."""

    async def handle(path: str, send: Send) -> None:
        BackgroundTasks.of().add_task(keep, "job")
        await answer(send)

    async with visiting(ErrandsMiddleware(raw(handle), errands, work=False)) as client:
        await client.get("/")
    async with errands.working():
        await drain(errands)

    assert ["job"] == notes


# ---------------------------------------------------------------- a handler that raises


async def test_raised_and_returned_are_told_apart_without_a_framework(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """By whether an exception is being handled while the response starts."""

    async def handle(path: str, send: Send) -> None:
        BackgroundTasks.of().add_task(keep, f"job {path}")
        BackgroundTasks.of().add_task(notes.append, f"local {path}")
        if path == "/unhandled":
            raise LookupError
        if path == "/raised":
            try:
                raise LookupError
            except LookupError:
                await answer(send, 404)
                return
        await answer(send, 404)

    async with visiting(ErrandsMiddleware(raw(handle), errands)) as client:
        paths = ["/returned", "/raised", "/unhandled"]
        statuses = [(await client.get(path)).status_code for path in paths]
        await drain(errands)
        jobs = await errands.jobs()

    assert [404, 404, 500] == statuses
    assert ["job /returned", "local /returned"] == sorted(notes)
    assert 1 == len(jobs)


async def test_a_failure_may_be_told_by_its_status(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """For frameworks that answer from outside their `except` block; 399 is none yet."""

    async def handle(path: str, send: Send) -> None:
        BackgroundTasks.of().add_task(keep, f"job {path}")
        BackgroundTasks.of().add_task(notes.append, f"local {path}")
        BackgroundTasks.of().on_error(notes.append, f"error {path}")
        await answer(send, int(path[1:]))

    app = ErrandsMiddleware(raw(handle), errands, failed=lambda status, error: status >= 400)
    async with visiting(app) as client:
        for status in (200, 399, 400, 503):
            assert status == (await client.get(f"/{status}")).status_code
        await drain(errands)

    assert [
        "error /400", "error /503", "job /200", "job /399", "local /200", "local /399",
    ] == sorted(notes)  # fmt: skip  # a row


async def test_the_policy_is_told_the_error(errands: Errands) -> None:
    """It may keep the tasks of a handler that raised, too."""
    told: list[tuple[int, BaseException | None]] = []
    error = LookupError("not here")

    def failed(status: int, error: BaseException | None) -> bool:
        told.append((status, error))
        return False

    async def handle(path: str, send: Send) -> None:
        try:
            raise error
        except LookupError:
            await answer(send, 404)

    async with visiting(ErrandsMiddleware(raw(handle), errands, failed=failed)) as client:
        await client.get("/")

    assert [(404, error)] == told


async def test_an_exception_around_the_server_is_not_the_requests(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """A server that was started in an `except` block serves as any other."""

    async def handle(path: str, send: Send) -> None:
        BackgroundTasks.of().add_task(keep, f"job {path}")
        BackgroundTasks.of().add_task(notes.append, f"local {path}")
        if path == "/raised":
            try:
                raise LookupError
            except LookupError:
                await answer(send, 404)
                return
        await answer(send)

    app = ErrandsMiddleware(raw(handle), errands)
    try:
        raise ConnectionError("the first try failed")
    except ConnectionError:
        async with alive(app):
            await Peer().get(app, "/returned")
            await Peer().get(app, "/raised")
            await drain(errands)

    assert ["job /returned", "local /returned"] == sorted(notes)


async def test_an_app_that_answers_nothing_keeps_what_it_added(
    errands: Errands, notes: list[str]
) -> None:
    """It returned: so does an application whose client went away before."""

    async def handle(path: str, send: Send) -> None:
        BackgroundTasks.of().add_task(notes.append, "local")

    app = ErrandsMiddleware(raw(handle), errands)
    async with alive(app):
        await Peer().get(app)
        await drain(errands)

    assert ["local"] == notes


# ---------------------------------------------------------------- scopes


async def test_other_scopes_pass_through(errands: Errands) -> None:
    """Untouched: neither tasks nor messages of ours."""
    seen: list[Any] = []

    async def receive() -> Message:
        return {"type": "mail.received"}

    async def send(message: Message) -> None:
        seen.append(message)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(dict(scope))
        await send(await receive())

    await ErrandsMiddleware(app, errands)({"type": "mail"}, receive, send)

    assert [{"type": "mail"}, {"type": "mail.received"}] == seen
    assert not errands.is_open


async def test_of_two_around_each_other_the_outer_keeps_the_tasks(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """Once, with one `Errands` in both."""

    async def handle(path: str, send: Send) -> None:
        BackgroundTasks.of().add_task(keep, "job")
        BackgroundTasks.of().add_task(notes.append, "local")
        await answer(send)

    inner = ErrandsMiddleware(raw(handle), errands)

    async def requests_only(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":  # as `Mount` does
            await inner(scope, receive, send)

    async with visiting(ErrandsMiddleware(requests_only, errands)) as client:
        assert 200 == (await client.get("/")).status_code
        await drain(errands)
        jobs = await errands.jobs()

    assert ["job", "local"] == sorted(notes)
    assert 1 == len(jobs)


async def test_two_requests_at_once_do_not_mix_their_tasks(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """Each step of one lies between two of the other; one raises, one returns."""
    both = asyncio.Barrier(2)

    async def handle(path: str, send: Send) -> None:
        background = BackgroundTasks.of()
        for step in range(3):
            await both.wait()
            assert background is BackgroundTasks.of()
            BackgroundTasks.of().add_task(keep, f"job {path} {step}")
            background.add_task(notes.append, f"local {path} {step}")
            await background.flush()
        await both.wait()
        if path == "/raised":
            raise LookupError
        await answer(send)

    app = ErrandsMiddleware(raw(handle), errands)
    async with visiting(app) as client:
        answers = await asyncio.gather(client.get("/returned"), client.get("/raised"))
        await drain(errands)
        jobs = await errands.jobs()

    assert [200, 500] == [answer.status_code for answer in answers]
    assert [f"{kind} /returned {n}" for kind in ("job", "local") for n in range(3)] == sorted(notes)
    assert 3 == len(jobs)


async def test_the_chunks_of_two_streams_do_not_mix_their_tasks(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """What is added between two chunks is of the stream that is being sent."""
    both = asyncio.Barrier(2)

    async def handle(path: str, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(3):
            await both.wait()
            BackgroundTasks.of().add_task(keep, f"{path} {number}")
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    app = ErrandsMiddleware(raw(handle), errands)
    async with visiting(app) as client:
        answers = await asyncio.gather(client.get("/a"), client.get("/b"))
        await drain(errands)
        jobs = await errands.jobs()

    assert ["xxx", "xxx"] == [answer.text for answer in answers]
    assert [f"/{name} {n}" for name in "ab" for n in range(3)] == sorted(notes)
    assert 6 == len(jobs)


# ---------------------------------------------------------------- a store that is away


async def test_an_error_while_storing_is_raised_before_the_response(notes: list[str]) -> None:
    """The application may still answer; what it had added is gone, and said to be."""
    store = MoodyStore()
    errands = Errands(store)
    keep = declared(errands, notes)

    async def handle(path: str, send: Send) -> None:
        BackgroundTasks.of().add_task(keep, "job")
        BackgroundTasks.of().add_task(notes.append, "local")
        try:
            await answer(send, 202)
        except StoreUnavailable:
            await answer(send, 503)

    app = ErrandsMiddleware(raw(handle), errands)
    async with visiting(app) as client:
        store.is_away = True
        response = await client.get("/")
        store.is_away = False
        await drain(errands)
        left = await errands.jobs()

    assert 503 == response.status_code
    assert [] == left
    assert [] == notes
    assert 0 == errands.pending


async def test_an_error_that_nobody_handles_leaves_nothing_promised(notes: list[str]) -> None:
    """No response starts, nothing is kept, and the server answers 500."""
    store = MoodyStore()
    errands = Errands(store)
    keep = declared(errands, notes)

    async def handle(path: str, send: Send) -> None:
        BackgroundTasks.of().add_task(keep, "job")
        BackgroundTasks.of().add_task(notes.append, "local")
        await answer(send, 202)

    app = ErrandsMiddleware(raw(handle), errands)
    async with alive(app):
        store.is_away = True
        peer = Peer()
        with pytest.raises(StoreUnavailable):
            await peer.get(app)
        store.is_away = False
        await drain(errands)
        left = await errands.jobs()

    assert [] == peer.sent
    assert [] == left
    assert [] == notes
    assert 0 == errands.pending


async def test_after_the_response_an_error_while_storing_loses_no_local_task(
    notes: list[str],
) -> None:
    """Only the job that could not be stored is lost, and the error tells of it."""
    store = MoodyStore()
    errands = Errands(store)
    keep = declared(errands, notes)

    async def handle(path: str, send: Send) -> None:
        BackgroundTasks.of().add_task(notes.append, "before")
        await answer(send)
        store.is_away = True
        BackgroundTasks.of().add_task(keep, "job")
        BackgroundTasks.of().add_task(notes.append, "after")

    app = ErrandsMiddleware(raw(handle), errands)
    peer = Peer()
    async with alive(app):
        with pytest.raises(StoreUnavailable):
            await peer.get(app)
        store.is_away = False
        await drain(errands)

    assert 200 == peer.status
    assert ["before", "after"] == notes
    assert 0 == errands.pending


async def test_a_stored_job_of_a_response_that_cannot_start_is_taken_back(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """As where a middleware outside of us raises at the status: a session that is no JSON."""

    async def handle(path: str, send: Send) -> None:
        BackgroundTasks.of().add_task(keep, "job")
        BackgroundTasks.of().add_task(notes.append, "local")
        await answer(send)

    app = ErrandsMiddleware(raw(handle), errands)

    async def session(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_signed(message: Message) -> None:
            if message["type"] == "http.response.start":
                raise TypeError("a set is no JSON")
            await send(message)

        await app(scope, receive, send if scope["type"] == "lifespan" else send_signed)

    async with visiting(session) as client:
        response = await client.get("/")
        await drain(errands)
        left = await errands.jobs()

    assert 500 == response.status_code
    assert [] == left
    assert [] == notes
    assert 0 == errands.pending


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
async def test_a_request_that_is_cancelled_at_its_end_keeps_what_it_added(
    notes: list[str], times: int
) -> None:
    """The client has its response; the store is still writing what was added after it."""
    store = SlowStore()
    errands = Errands(store)
    keep = declared(errands, notes)

    async def handle(path: str, send: Send) -> None:
        await answer(send)
        BackgroundTasks.of().add_task(keep, "job")
        BackgroundTasks.of().add_task(notes.append, "local")

    app = ErrandsMiddleware(raw(handle), errands)
    async with alive(app):
        request = asyncio.create_task(Peer().get(app))
        await store.writes.wait()
        for _ in range(times):
            request.cancel()
            for _ in range(5):
                await asyncio.sleep(0)
        store.go_on.set()
        await asyncio.wait([request], timeout=5)
        async with asyncio.timeout(5):
            while len(notes) < 2:  # noqa: ASYNC110  # what goes on by itself has no event
                await asyncio.sleep(0.001)
        await drain(errands)

    assert request.cancelled()
    assert ["job", "local"] == sorted(notes)


async def test_a_websocket_with_too_many_tasks_is_asked_to_come_back(notes: list[str]) -> None:
    """Close code 1013, "try again later"; nothing of it is kept."""
    errands = Errands("memory:", max_pending=1)
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        BackgroundTasks.of().add_task(notes.append, "one")
        BackgroundTasks.of().add_task(notes.append, "too many")
        await send({"type": "websocket.accept"})

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    async with errands.working():
        await ErrandsMiddleware(app, errands)({"type": "websocket", "path": "/"}, receive, send)
        await drain(errands)

    assert [{"type": "websocket.close", "code": 1013}] == sent
    assert [] == notes
    assert 0 == errands.pending


# ---------------------------------------------------------------- without a lifespan


async def test_without_a_lifespan_tasks_are_done_when_the_request_is(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """As under `uvicorn --lifespan off`: beside each other's, and the store is closed after."""
    both = asyncio.Barrier(2)

    async def handle(path: str, send: Send) -> None:
        await both.wait()
        BackgroundTasks.of().add_task(keep, f"job {path}")
        BackgroundTasks.of().add_task(notes.append, f"local {path}")
        await answer(send)

    async with browser(ErrandsMiddleware(raw(handle), errands)) as client:
        answers = await asyncio.gather(client.get("/a"), client.get("/b"))
        ran = sorted(notes)

    assert [200, 200] == [answer.status_code for answer in answers]
    assert ["job /a", "job /b", "local /a", "local /b"] == ran
    assert not errands.is_open


async def test_without_a_lifespan_the_jobs_of_others_are_left_alone(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """A test's request runs what it added, and not what lies in the store."""

    async def handle(path: str, send: Send) -> None:
        BackgroundTasks.of().add_task(keep, "mine")
        await answer(send)

    async with errands:
        await errands.add_task(keep, "another's")
    async with browser(ErrandsMiddleware(raw(handle), errands)) as client:
        await client.get("/")

    assert ["mine"] == notes


async def test_a_lifespan_of_somebody_else_is_used(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """Inside `async with errands.working()` requests need none of their own."""

    async def handle(path: str, send: Send) -> None:
        BackgroundTasks.of().add_task(keep, "job")
        await answer(send)

    app = ErrandsMiddleware(raw(handle), errands)
    async with errands.working(), browser(app) as client:
        await client.get("/")
        await drain(errands)

    assert ["job"] == notes


async def _run(awaitable: Awaitable[None]) -> None:
    await awaitable
