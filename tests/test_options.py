"""What one addition asks for beyond the policy of its task."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from errands._job import NEVER, WAITING
from errands._options import DEFAULT, Options
from errands._plain import seconds
from errands._task import Task
from errands.errors import PayloadTooLarge

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def mail(to: str = "ann") -> None: ...


TASK = Task(name="mail", function=mail, queue="post", priority=3)


def made(options: Options = DEFAULT, *args: Any, limit: int = 0) -> Any:
    """The job that `options` make of a call."""
    return options.job(TASK, args, {}, NOW, limit)


def test_by_default_a_job_is_due_now_and_as_its_task_says() -> None:
    """Queue and priority come from the task."""
    job = made()

    assert ("mail", "{}", "post", 3, None) == (
        job.task, job.payload, job.queue, job.priority, job.key,
    )  # fmt: skip  # a row
    assert NOW == job.added_at == job.due_at == job.free_at


def test_options_go_before_the_task() -> None:
    """Also where they are zero."""
    job = made(Options(queue="other", priority=0, key="k"))

    assert ("other", 0, "k") == (job.queue, job.priority, job.key)


def test_who_waits_for_others_is_kept_back() -> None:
    """Until they have ended; when it is due is kept as well."""
    job = made(Options(waits_for=("a", "b"), if_failed="run", after=5))
    plain = made(Options(if_failed="run"))

    assert (("a", "b"), True, WAITING, NEVER, NOW + timedelta(seconds=5)) == (
        job.waits_for, job.runs_anyway, job.blocked_by, job.free_at, job.due_at,
    )  # fmt: skip  # a row
    assert ((), False, None, NOW) == (
        plain.waits_for, plain.runs_anyway, plain.blocked_by, plain.free_at,
    )  # fmt: skip  # as above


@pytest.mark.parametrize("after", [90, 90.0, timedelta(minutes=1, seconds=30)])
def test_a_delay_is_seconds_or_a_timedelta(after: Any) -> None:
    """Both say the same."""
    job = made(Options(after=after))

    assert NOW + timedelta(seconds=90) == job.due_at == job.free_at
    assert NOW == job.added_at


def test_an_instant_is_kept_in_utc_and_whole_milliseconds() -> None:
    """Whatever zone it was written in."""
    zurich = timezone(timedelta(hours=1))
    job = made(Options(at=datetime(2026, 5, 1, 13, 0, 0, 123456, tzinfo=zurich)))

    assert datetime(2026, 5, 1, 12, 0, 0, 123000, tzinfo=UTC) == job.due_at == job.free_at
    assert timedelta(0) == job.due_at.utcoffset()


def test_a_payload_may_be_as_big_as_the_limit_and_no_bigger() -> None:
    """In bytes, not in characters."""
    size = len(made(DEFAULT, "üü").payload.encode())

    assert made(DEFAULT, "üü", limit=size)
    with pytest.raises(PayloadTooLarge) as refusal:
        made(DEFAULT, "üü", limit=size - 1)
    assert (size, size - 1) == (refusal.value.size, refusal.value.limit)


def test_a_payload_that_is_too_big_says_what_to_pass_instead() -> None:
    """The message has the task, the size, the limit and a way out."""
    with pytest.raises(PayloadTooLarge, match=r"mail take 2,0\d\d bytes.*1,000.*Pass an id"):
        made(DEFAULT, "x" * 2000, limit=1000)


def test_without_a_limit_any_payload_is_taken() -> None:
    """0 means none."""
    assert 2**21 < len(made(DEFAULT, "x" * 2**21, limit=0).payload)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"after": 1, "at": NOW}, "one of the two"),
        ({"after": -1}, "after=-1"),
        ({"after": timedelta(-1)}, "after="),
        ({"after": math.nan}, "after=nan"),
        ({"after": math.inf}, "after=inf"),
        ({"at": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001  # the case
        ({"on_conflict": "ignore"}, "keep, replace, raise"),
        ({"priority": "high"}, "priority='high'"),
        ({"priority": True}, "priority=True"),
        ({"priority": 2**63}, "a whole number"),
        ({"key": "cat\udcff.png"}, "expected text"),
        ({"group": "x" * 2001}, "2000 bytes"),
        ({"key": ""}, "key=''"),
        ({"key": "a\0b"}, "without NUL"),
        ({"queue": "a\0b"}, "without NUL"),
        ({"key": 3}, "key=3"),
        ({"queue": ""}, "queue=''"),
    ],
)
def test_an_option_that_could_never_be_meant_is_refused(wrong: dict[str, Any], words: str) -> None:
    """When it is said, with its name and its value."""
    with pytest.raises(ValueError, match=r"^options\(") as refusal:
        Options(**wrong)
    assert words in str(refusal.value)


@pytest.mark.parametrize("wrong", ["2026-01-01", 1_767_225_600, NOW.date()])
def test_an_instant_that_is_none_says_what_to_write(wrong: Any) -> None:
    """A number would be a matter of taste."""
    with pytest.raises(TypeError, match=r"^options\(at=.*: expected an aware datetime"):
        Options(at=wrong)


@pytest.mark.parametrize("wrong", ["60", [60], None])
def test_a_length_of_time_that_is_none_says_what_to_write(wrong: Any) -> None:
    """Text from a configuration, for example."""
    with pytest.raises(TypeError, match="write seconds, as in 60, or a timedelta") as refusal:
        seconds(wrong)
    assert repr(wrong) in str(refusal.value)
