"""Tasks that are added by themselves."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from patience import eventually
from unreliable_store import Fault, UnreliableStore

from errands import (
    Errands,
    Job,
    OnConflict,
    Query,
    Schedule,
    State,
    Store,
    cron,
    every,
)
from errands.errors import (
    DuplicateSchedule,
    NotSerializable,
    PayloadTooLarge,
    UnknownSchedule,
    UnknownTask,
)
from errands.stores.memory import MemoryStore
from errands.testing import JumpingClock, drain

SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=n) for n in (1, 60, 3600, 86_400))


class Place:
    """An application that is started anew: its store and clock outlive it."""

    def __init__(self, store: Store, clock: JumpingClock) -> None:
        self.store, self.clock, self.begin = store, clock, clock.now()
        self.ran: list[tuple[str, float]] = []  # what, and how many seconds after the beginning

    def app(self) -> Errands:
        """What a process has before its code declares anything."""
        return Errands(self.store, clock=self.clock, lease=7 * DAY)  # jobs outlive each jump

    def note(self, errands: Errands) -> Callable[..., Awaitable[None]]:
        """A task that says when it ran."""

        @errands.task(name="note")
        async def note(text: str = "tick") -> None:
            self.ran.append((text, (self.clock.now() - self.begin).total_seconds()))

        return note

    def noting(self, *specs: Any, **fields: Any) -> Errands:
        """An application that notes each tick."""
        errands = self.app()
        function = self.note(errands)
        for spec in specs:
            errands.schedule(spec, **fields)(function)
        return errands

    async def pass_by(self, errands: Errands, *seconds: float) -> None:
        """Let time pass in steps, and all that is due in each run."""
        await drain(errands)
        for each in seconds:
            self.clock.jump(each)
            await drain(errands)


@pytest.fixture
def place(store: Store, clock: JumpingClock) -> Place:
    return Place(store, clock)


async def only(errands: Errands) -> Schedule:
    [schedule] = await errands.schedules.list()
    return schedule


# Ticks


async def test_a_task_is_added_at_each_tick(place: Place) -> None:
    """From the first that comes after the start."""
    errands = place.noting(every(minutes=5))
    async with errands.working():
        await place.pass_by(errands, 299, 1, 300, 100)
        schedule = await only(errands)
        jobs = await errands.jobs()

    assert [("tick", 300.0), ("tick", 600.0)] == place.ran
    assert ("note: every 5 min", "note") == (schedule.name, schedule.task)
    assert place.begin + 10 * MINUTE == schedule.last_tick == jobs[0].due_at
    assert place.begin + 15 * MINUTE == schedule.next_tick


async def test_several_schedules_stand_above_one_function(clock: JumpingClock) -> None:
    """Each with its own arguments; the function is declared, and stays what it is."""
    errands, calls = Errands("memory:", clock=clock), list[tuple[str, int]]()

    @errands.schedule(every(minutes=1), "a", number=1)
    @errands.schedule(every(minutes=2), "b", name="second")
    async def collect(text: str, number: int = 0) -> None:
        calls.append((text, number))

    async with errands.working():
        clock.jump(120)
        await drain(errands)
        names = [schedule.name for schedule in await errands.schedules.list()]

    assert [("a", 1), ("b", 0)] == sorted(set(calls))
    assert {"second", f"{collect.__errands__}: every 1 min"} == set(names)
    await collect("here", 9)
    assert ("here", 9) == calls[-1]


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_schedule_stands_above_or_below_the_task(
    clock: JumpingClock, is_first: bool
) -> None:
    """Its jobs have the task's policy either way."""
    errands = Errands("memory:", clock=clock)

    async def mail() -> None:
        pass

    declare = [errands.schedule(every(minutes=1)), errands.task(name="mail", queue="q", priority=3)]
    for each in declare if is_first else declare[::-1]:
        each(mail)
    async with errands.working():
        clock.jump(60)
        await drain(errands)
        [job] = await errands.jobs()

    assert ("mail", "q", 3, State.DONE) == (job.task, job.queue, job.priority, job.state)


async def test_a_cron_goes_by_its_zone(place: Place) -> None:
    """The day on which clocks go forward has one tick, as each other."""
    place.clock.jump(datetime.fromisoformat("2026-03-28T12:00+01:00") - place.begin)
    errands = place.noting(cron("30 2 * * *", tz="Europe/Zurich"))
    async with errands.working():
        await place.pass_by(errands, *[1800] * 2 * 48)
        ticks = [job.due_at.isoformat() for job in await errands.jobs()]

    assert ["2026-03-30T00:30:00+00:00", "2026-03-29T01:00:00+00:00"] == ticks


@pytest.mark.alone
async def test_an_hour_passes_in_less_than_a_second(place: Place) -> None:
    """With a job each minute, each at its time; one of four tries may meet a busy machine."""
    errands = place.noting(every(minutes=1))
    took: list[float] = []
    async with errands.working():
        await drain(errands)
        while not took or (min(took) >= 1 and len(took) < 4):
            begin = time.perf_counter()
            await place.pass_by(errands, *[60] * 60)
            took.append(time.perf_counter() - begin)

    assert [("tick", 60.0 * n) for n in range(1, 60 * len(took) + 1)] == place.ran
    assert 1 > min(took)


class LateAnswers(MemoryStore):
    """One that, once it is late, is read before the next addition and answers after it."""

    is_late = has_added = has_answered = False

    def __init__(self) -> None:
        super().__init__()
        self.was_read = asyncio.Event()

    async def find(self, query: Query) -> list[Job]:
        """Those of before the addition."""
        found = await super().find(query)
        if self.is_late and not self.was_read.is_set():
            self.was_read.set()
            await eventually(True, lambda: self.has_added)
            await asyncio.sleep(0.02)  # the scheduler has nothing to do any more
            self.has_answered = True
        return found

    async def add(self, jobs: Sequence[Job], on_conflict: OnConflict = "keep") -> list[Job]:
        """Add them once the others were read."""
        if self.is_late:
            await self.was_read.wait()
        self.has_added, added = True, await super().add(jobs, on_conflict)
        return added


async def test_a_drain_does_not_believe_an_answer_that_is_older_than_a_tick(
    clock: JumpingClock,
) -> None:
    """The tick's job was added after the store was read, and before it was asked who adds."""
    store, ends = LateAnswers(), asyncio.Event()
    errands = Errands(store, clock=clock)

    @errands.schedule(every(minutes=1))
    async def work() -> None:
        await ends.wait()

    async with errands.working():
        await drain(errands)
        store.is_late = True
        clock.jump(60)
        draining = asyncio.create_task(drain(errands))
        await eventually(True, lambda: store.has_answered)
        await asyncio.wait([draining], timeout=0.02)
        assert not draining.done()
        ends.set()
        await draining


async def test_a_plain_function_is_scheduled_too(clock: JumpingClock) -> None:
    """It runs in a thread, as any task that is no coroutine."""
    errands, ran = Errands("memory:", clock=clock), list[int]()

    @errands.schedule(every(minutes=1))
    def work() -> None:
        ran.append(1)

    async with errands.working():
        clock.jump(60)
        await drain(errands)

    assert [1] == ran


async def test_real_time_passes_as_well(tmp_path: Path) -> None:
    """Jobs that were stored ahead start when they are due."""
    errands, late = Errands(f"sqlite:///{tmp_path}/errands.db"), list[float]()

    @errands.schedule(every(seconds=0.1))
    async def tick() -> None:
        from errands import current_job

        late.append((errands.now() - current_job().due_at).total_seconds())

    async with errands.working():
        await eventually(True, lambda: len(late) >= 5)

    assert all(0 <= each < 1 for each in late)


# Overlap


@pytest.mark.parametrize(("overlap", "expected"), [("allow", 3), ("skip", 1)])
async def test_ticks_overlap_unless_they_are_not_to(
    place: Place, overlap: Any, expected: int
) -> None:
    """With `skip` one is left out while the one before it has not ended."""
    errands, gate, started = place.app(), asyncio.Event(), list[int]()

    @errands.schedule(every(minutes=1, overlap=overlap))
    async def wait() -> None:
        started.append(1)
        await gate.wait()

    async with errands.working():
        for number in range(3):
            place.clock.jump(60)
            await eventually(False, lambda: errands.is_behind)
            await eventually(min(number + 1, expected), lambda: len(started))
        gate.set()
        await drain(errands)
        await place.pass_by(errands, 60)

    assert expected + 1 == len(started)


# What was missed


@pytest.mark.parametrize(("missed", "expected"), [("skip", []), ("one", [5]), ("all", range(1, 6))])
async def test_ticks_of_a_downtime_are_made_up_for(
    place: Place, missed: Any, expected: list[int]
) -> None:
    """As was asked, by whoever starts then."""
    async with (first := place.noting(every(minutes=1, missed=missed))).working():
        await place.pass_by(first)
    place.clock.jump(330)
    async with (second := place.noting(every(minutes=1, missed=missed))).working():
        await drain(second)
        jobs = await second.jobs()
        await place.pass_by(second, 30)

    assert [place.begin + n * MINUTE for n in expected] == [job.due_at for job in jobs[::-1]]
    assert ("tick", 360.0) == place.ran[-1]


async def test_nothing_was_missed_before_the_first_start(place: Place) -> None:
    """However long ago the schedule would have begun."""
    errands = place.noting(every(hours=1, missed="all", start=place.begin - DAY))
    async with errands.working():
        await place.pass_by(errands, 10)

    assert [] == place.ran


# Several processes


async def test_of_several_processes_one_adds_the_job_of_a_tick(tmp_path: Path) -> None:
    """Whoever it is."""
    clock = JumpingClock()
    url = f"sqlite:///{tmp_path}/errands.db"
    apps, ran = [Errands(url, clock=clock) for _ in range(3)], list[datetime]()
    for errands in apps:

        @errands.schedule(every(minutes=1), name="a")
        @errands.schedule(every(minutes=1, overlap="skip"), name="b")
        @errands.task(name="note")
        async def note() -> None:
            ran.append(clock.now())

    async with apps[0].working(), apps[1].working(), apps[2].working():
        for _ in range(5):
            clock.jump(60)
            for errands in apps:
                await drain(errands)
        assert 10 == len(await apps[0].jobs()) == len(ran)


async def test_who_was_asleep_adds_no_tick_again(clock: JumpingClock) -> None:
    """Its view of the schedule is old, and so is the id of the job that it adds."""
    store = UnreliableStore(MemoryStore())
    place = Place(store, clock)
    errands = place.noting(every(minutes=1))
    async with errands.working():
        await drain(errands)
        store.plan["put_schedules", store.calls["put_schedules"] + 1] = Fault.BEFORE
        store.plan["put_schedules", store.calls["put_schedules"] + 2] = Fault.BEFORE
        clock.jump(60)
        await eventually(1, lambda: len(place.ran))
        [stale] = await store.inner.schedules()
        for _ in range(50):
            clock.jump(0.2)
            await asyncio.sleep(0.001)
        await drain(errands)
        [fresh] = await store.inner.schedules()
        job = (await errands.jobs())[0]
        again = await store.add([job])

    assert stale.version < fresh.version
    assert [("tick", 60.0)] == place.ran
    assert [job] == again


async def test_who_is_late_does_not_add_a_job_again_that_was_pruned(clock: JumpingClock) -> None:
    """Another process has added it, and it was forgotten as soon as it had run."""
    inner = MemoryStore()
    late, other = Place(UnreliableStore(inner), clock), Place(inner, clock)
    store = late.store
    assert isinstance(store, UnreliableStore)
    errands, prompt = late.noting(every(minutes=1)), other.noting(every(minutes=1))
    async with errands.working():
        await drain(errands)
        store.plan["add", store.calls["add"] + 1] = Fault.BEFORE  # it asks again after a while
        clock.jump(60)
        await eventually(1, lambda: store.calls["add"])
        async with prompt.working():
            await drain(prompt)
        assert 1 == len(late.ran) + len(other.ran)
        assert 1 == await inner.prune(clock.now() + HOUR, 10)
        clock.jump(5)
        await drain(errands)
        jobs = await errands.jobs()
        await late.pass_by(errands, 55)

    assert [] == jobs
    assert [("tick", 60.0), ("tick", 120.0)] == sorted(other.ran + late.ran)


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.AFTER])
@pytest.mark.parametrize("method", ["add", "put_schedules", "schedules"])
async def test_a_store_that_fails_now_and_then_costs_no_tick(
    clock: JumpingClock, method: str, fault: Fault
) -> None:
    """And makes none twice."""
    store = UnreliableStore(MemoryStore())
    place = Place(store, clock)
    errands = place.noting(every(minutes=1))
    async with errands.working():
        await drain(errands)
        for number in range(1, 100, 2):
            store.plan[method, store.calls[method] + number] = fault
        for _ in range(400):
            clock.jump(0.6)
            await asyncio.sleep(0)
            await asyncio.sleep(0.0005)
        store.plan.clear()
        place.clock.jump(6)  # longer than anybody waits for a store
        await eventually(4, lambda: len(place.ran))
        await place.pass_by(errands, 1)

    assert 4 == len(place.ran)
    assert {60, 120, 180, 240} == {round(at / 60) * 60 for _, at in place.ran}


# The code changes


async def test_what_the_code_says_anew_counts(place: Place) -> None:
    """From the start of the new code on."""
    async with (old := place.noting(every(minutes=1), name="s")).working():
        await place.pass_by(old, 60)
    async with (new := place.noting(every(hours=1), name="s")).working():
        await place.pass_by(new, 60, 60)
        schedule = await only(new)

    assert [("tick", 60.0)] == place.ran
    assert (every(hours=1), place.begin + HOUR) == (schedule.when, schedule.next_tick)


async def test_a_schedule_that_left_the_code_rests_and_is_shown_as_orphaned(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """Though its task is still there; the log says so once, and in the end it is forgotten."""
    async with (old := place.noting(every(minutes=1), name="old")).working():
        await place.pass_by(old, 60)
    new = place.noting(every(days=9), name="new")
    async with new.working():
        await place.pass_by(new, *[20] * 10)
        found = {s.name: s.is_orphaned(new.now()) for s in await new.schedules.list()}
        await place.pass_by(new, *[DAY.total_seconds()] * 8)
        warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
        await place.pass_by(new, *[DAY.total_seconds()] * 23, 1)
        left = [schedule.name for schedule in await new.schedules.list()]

    assert {"old": True, "new": False} == found
    assert [
        "schedule 'old' is orphaned: no process declares it, or its task note, any more. "
        "Declare it, or remove it with errands.schedules.remove('old')"
    ] == warned
    assert ["new"] == left
    assert ("tick", 60.0) == place.ran[0]


async def test_a_schedule_whose_task_is_gone_is_shown_as_orphaned(place: Place) -> None:
    """It adds nothing that would wait for ever; once the task is back, it goes on."""
    first = place.app()
    async with first.working():
        await first.schedules.add("s", every(minutes=1), place.note(first))
        await place.pass_by(first, 60)
    async with (without := place.app()).working():
        await place.pass_by(without, *[30] * 10)
        orphan = await only(without)
        assert orphan.is_orphaned(without.now())
        assert 1 == len(await without.jobs())
    again = place.noting()
    async with again.working():
        await place.pass_by(again, 60)
        assert not (await only(again)).is_orphaned(again.now())

    assert [60.0, 360.0, 420.0] == [at for _, at in place.ran]


async def test_a_schedule_that_cannot_be_read_harms_no_other(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """It is left to processes that can: of a newer version, or with more time zones."""
    errands = place.noting(every(minutes=1))
    strange = Schedule(
        name="strange", task="note", spec='{"lunar":1}', payload="{}", known_at=place.begin,
        next_tick=place.begin,
    )  # fmt: skip  # a row
    async with errands:
        await place.store.put_schedules([strange])
        async with errands.working():
            await place.pass_by(errands, 60, 60)
            with pytest.raises(ValueError, match="no schedule to this version"):
                await errands.schedules.resume("strange")
            assert (await errands.schedules.pause("strange")).is_paused
            await errands.schedules.remove("strange")
            assert "strange" not in {each.name for each in await errands.schedules.list()}

    assert 2 == len(place.ran)
    assert 1 == caplog.text.count("schedule 'strange' cannot be read here")


async def test_a_schedule_that_is_declared_while_at_work_counts(place: Place) -> None:
    """As in a notebook, where a cell that is run again says something else."""
    errands = place.app()
    async with errands.working():
        for text in ("first", "second"):

            @errands.schedule(every(minutes=1), text, name="s")
            @errands.task(name="note")
            async def note(text: str) -> None:
                place.ran.append((text, 0))

            await place.pass_by(errands, 60)

    assert [("first", 0), ("second", 0)] == place.ran


# At run time


async def test_a_schedule_added_at_run_time_survives_restarts(place: Place) -> None:
    """With its arguments; the store has it, not the code."""
    first = place.app()
    async with first:
        added = await first.schedules.add("mine", every(minutes=1), place.note(first), text="x")
    async with (second := place.noting()).working():
        await place.pass_by(second, 60)
        shown = await only(second)

    assert [("x", 60.0)] == place.ran
    assert ("mine", None, '{"text":"x"}') == (added.name, added.declared, shown.payload)


async def test_what_was_changed_at_run_time_survives_restarts(place: Place) -> None:
    """Though the code says what it said before."""
    async with (first := place.noting(every(minutes=1), name="s")).working():
        await place.pass_by(first)
        await first.schedules.change("s", every(minutes=4), "changed")
    async with (second := place.noting(every(minutes=1), name="s")).working():
        await place.pass_by(second, *[60] * 5)

    assert [("changed", 240.0)] == place.ran


async def test_a_change_keeps_what_it_does_not_name(place: Place) -> None:
    """Another spec leaves the arguments, and other arguments the spec."""
    errands = place.app()
    note = place.note(errands)
    async with errands:
        await errands.schedules.add("s", every(minutes=1), note, "a")
        first = await errands.schedules.change("s", every(minutes=2))
        second = await errands.schedules.change("s", None, "b")

    assert (every(minutes=2), '{"text":"a"}') == (first.when, first.payload)
    assert (every(minutes=2), '{"text":"b"}') == (second.when, second.payload)


async def test_what_was_removed_stays_away(place: Place) -> None:
    """A declared one until the code says something else."""
    async with (first := place.noting(every(minutes=1), name="s")).working():
        await place.pass_by(first)
        await first.schedules.remove("s")
        assert [] == await first.schedules.list()
        await place.pass_by(first, 60)
    async with (second := place.noting(every(minutes=1), name="s")).working():
        await place.pass_by(second, 60)
        assert [] == await second.schedules.list()
    async with (third := place.noting(every(minutes=2), name="s")).working():
        await place.pass_by(third, 60, 60)

    assert [("tick", 240.0)] == place.ran


async def test_a_removed_name_may_be_given_anew(place: Place) -> None:
    """Whether the code declares it or not."""
    errands = place.noting(every(minutes=1), name="declared")
    note = errands._engine.tasks["note"].function
    async with errands.working():
        await errands.schedules.add("added", every(minutes=1), note, "old")
        await drain(errands)
        for name in ("added", "declared"):
            await errands.schedules.remove(name)
            await errands.schedules.add(name, every(minutes=1), note, name)
        await place.pass_by(errands, 60)

    assert {("added", 60.0), ("declared", 60.0)} == set(place.ran)
    assert 2 == len(place.ran)


async def test_a_paused_schedule_adds_nothing_until_it_goes_on(place: Place) -> None:
    """What would have come meanwhile is not made up for; not even what was stored ahead."""
    async with (first := place.noting(every(seconds=1, missed="all"))).working():
        await place.pass_by(first)
        name = (await only(first)).name
        paused = await first.schedules.pause(name)
        await place.pass_by(first, 10)
        assert [] == await first.jobs()
    async with (second := place.noting(every(seconds=1, missed="all"))).working():
        await place.pass_by(second, 10)
        await second.schedules.resume(name)
        await place.pass_by(second, 0.5, 0.5)

    assert (True, None) == (paused.is_paused, paused.next_tick)
    assert [("tick", 21.0)] == place.ran


async def test_a_schedule_is_run_now_besides_its_ticks(place: Place) -> None:
    """Also while it is paused."""
    async with (errands := place.noting(every(minutes=1), name="s")).working():
        job = await errands.schedules.run("s")
        await place.pass_by(errands, 60)
        await errands.schedules.pause("s")
        await errands.schedules.run("s")
        await place.pass_by(errands, 30)

    assert [0.0, 60.0, 60.0] == [at for _, at in place.ran]
    assert "note" == job.task


async def test_several_who_change_a_schedule_at_once_all_have_their_way(place: Place) -> None:
    """One after the other."""
    errands = place.app()
    async with errands:
        change = errands.schedules.change
        await errands.schedules.add("s", every(minutes=1), place.note(errands))
        changed = await asyncio.gather(*(change("s", None, str(n)) for n in range(10)))
        schedule = await only(errands)

    assert set(range(2, 12)) == {each.version for each in changed}
    assert schedule in changed


async def test_upcoming_ticks_are_listed(place: Place) -> None:
    """Of a spec that is only thought of, and of a schedule that is there."""
    errands = place.noting(every(minutes=1, until=place.begin + 2 * MINUTE), name="s")
    expected = [place.begin + n * MINUTE for n in (1, 2)]
    async with errands.working():
        await drain(errands)
        assert expected == errands.upcoming(await only(errands), 5)
        assert [] == errands.upcoming(await errands.schedules.pause("s"))

    assert [expected[0]] == errands.upcoming(every(minutes=1), 1)
    assert 5 == len(errands.upcoming(cron("@daily")))


# What could never be meant


def test_a_task_that_needs_arguments_is_not_scheduled_without() -> None:
    """The message says which one is missing, and where it is to stand."""
    errands = Errands("memory:")

    def report(day: str, pages: int = 1) -> None: ...

    for args, words in (
        ((), r"report\(day: .*missing a required argument: 'day'.*@errands\.schedule\(every"),
        (("a", 1, 2), r"too many positional arguments"),
    ):
        with pytest.raises(TypeError, match=words):
            errands.schedule(every(minutes=1), *args)(report)
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        errands.schedule(every(minutes=1), "a", colour="red")(report)


def test_a_schedule_says_when() -> None:
    """Text is none, and neither is the function itself."""
    errands: Any = Errands("memory:")

    def report() -> None: ...

    for spec in ("0 3 * * *", 5, report, timedelta(minutes=1)):
        with pytest.raises(TypeError, match=r"@errands\.schedule\(.*expected every\(…\) or cron"):
            errands.schedule(spec)
    with pytest.raises(ValueError, match="a name is text, not empty"):
        errands.schedule(every(minutes=1), name="")(report)


def test_two_schedules_do_not_share_a_name() -> None:
    """The same one may be declared again, as by a second import."""
    errands = Errands("memory:")

    def one(text: str = "") -> None: ...
    def other() -> None: ...

    errands.schedule(every(minutes=1), "a", name="s")(one)
    errands.schedule(every(minutes=1), "a", name="s")(one)
    with pytest.raises(DuplicateSchedule, match=r"two schedules are named 's': .*name="):
        errands.schedule(every(minutes=1), "b", name="s")(one)
    with pytest.raises(DuplicateSchedule):
        errands.schedule(every(minutes=1), name="s")(other)


def test_a_module_that_is_imported_twice_declares_once() -> None:
    """As FastHTML does it."""
    errands = Errands("memory:")
    for _ in range(2):

        @errands.schedule(every(minutes=1), "a")
        def work(text: str) -> None: ...

    assert 1 == len(errands._engine.declared)


async def test_arguments_that_cannot_be_kept_are_refused_at_the_start() -> None:
    """Not at three in the morning."""
    for value, kind in ((object(), NotSerializable), ("x" * 2000, PayloadTooLarge)):
        errands = Errands("memory:", max_payload=1000)

        @errands.schedule(every(minutes=1), value)
        def work(value: Any) -> None: ...

        with pytest.raises(kind, match="work"):
            async with errands.working():
                pass
        assert not errands.is_open


async def test_what_is_not_there_cannot_be_changed(place: Place) -> None:
    """The message says what there is."""
    errands = place.app()
    note = place.note(errands)
    async with errands:
        await errands.schedules.add("there", every(minutes=1), note)
        for act in (
            errands.schedules.pause, errands.schedules.resume, errands.schedules.remove,
            errands.schedules.run, errands.schedules.change,
        ):  # fmt: skip  # a row
            with pytest.raises(UnknownSchedule, match=r"named 'nowhere'. There are: 'there'\."):
                await act("nowhere")


async def test_what_is_added_at_run_time_is_checked(place: Place) -> None:
    """As what the code declares."""
    errands, add = place.app(), None
    note: Any = place.note(errands)
    async with errands:
        add = errands.schedules.add
        await add("there", every(minutes=1), note)
        with pytest.raises(DuplicateSchedule, match="named 'there': change it with"):
            await add("there", every(minutes=1), note)
        with pytest.raises(UnknownTask, match="is not a task"):
            await add("s", every(minutes=1), print)
        with pytest.raises(TypeError, match="note"):
            await add("s", every(minutes=1), note, colour="red")
        with pytest.raises(TypeError, match="expected every"):
            await add("s", "@daily", note)  # type: ignore[arg-type]  # on purpose
        with pytest.raises(ValueError, match="a name is text"):
            await add("", every(minutes=1), note)
        with pytest.raises(TypeError, match="expected every"):
            await errands.schedules.change("there", "@daily")  # type: ignore[arg-type]  # on purpose
        assert ["there"] == [schedule.name for schedule in await errands.schedules.list()]
