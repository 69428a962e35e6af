"""When `every` and `cron` are due, also when clocks change; and what they refuse."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from errands import Cron, cron, every
from errands._schedule import spec_of
from errands._spec import Spec

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
ODD: Any = "odd"
NAIVE = NEW_YEAR.replace(tzinfo=None)
BERLIN = "Europe/Berlin"  # in 2026: 29 March, 02:00 to 03:00, and 25 October, 03:00 to 02:00
NEW_YORK = "America/New_York"  # 8 March and 1 November, at the same times
SPRING, AUTUMN = "2026-03-28T12:00", "2026-10-24T12:00"


def shown(spec: Spec, begin: str, count: int) -> list[str]:
    """The next ticks after a time in the spec's zone, as its clocks show them."""
    assert isinstance(spec, Cron)
    zone = ZoneInfo(spec.tz)
    instant = datetime.fromisoformat(begin).replace(tzinfo=zone).astimezone(UTC)
    ticks = spec.upcoming(instant, count)
    assert ticks == sorted(set(ticks))
    return [tick.astimezone(zone).strftime("%m-%d %H:%M:%S%z") for tick in ticks]


# Intervals


def test_an_interval_comes_at_full_hours() -> None:
    """Whenever the process was started."""
    begin = NEW_YEAR + timedelta(minutes=7, milliseconds=1)

    assert NEW_YEAR + timedelta(minutes=10) == every(minutes=5).next_after(begin)
    assert NEW_YEAR + timedelta(hours=1) == every(hours=1).next_after(begin)
    assert datetime(2026, 1, 5, tzinfo=UTC) == every(weeks=1).next_after(begin)  # a Monday


def test_a_tick_is_after_the_instant_that_was_asked_for() -> None:
    """Also where that is a tick itself."""
    spec = every(seconds=0.1)

    assert NEW_YEAR == spec.next_after(NEW_YEAR - timedelta(milliseconds=1))
    assert NEW_YEAR + timedelta(milliseconds=100) == spec.next_after(NEW_YEAR)


def test_an_interval_is_counted_from_its_start() -> None:
    """Which is its first tick."""
    start = NEW_YEAR + timedelta(seconds=7)
    spec = every(minutes=1, start=start, until=start + timedelta(minutes=2))

    expected = [start + timedelta(minutes=n) for n in range(3)]
    assert expected == spec.upcoming(NEW_YEAR - timedelta(days=9), 10)
    assert None is spec.next_after(expected[-1])


@given(
    st.integers(100, 10**9),
    st.datetimes(NAIVE - timedelta(10_000), NAIVE + timedelta(30_000), timezones=st.just(UTC)),
)
def test_intervals_are_as_far_apart_as_they_say(ms: int, instant: datetime) -> None:
    """From whatever instant on."""
    interval = timedelta(milliseconds=ms)
    first, second = every(seconds=ms / 1000).upcoming(instant, 2)

    assert instant < first <= instant + interval
    assert interval == second - first


def test_the_calendar_has_an_end() -> None:
    """Then nothing is due any more."""
    last = datetime(9999, 12, 31, 23, 59, tzinfo=UTC)

    assert None is every(days=1).next_after(last)
    assert None is cron("@daily").next_after(last)


# Cron


def test_a_cron_goes_by_the_clocks_of_its_zone() -> None:
    """In winter and in summer."""
    spec = cron("0 3 * * mon-fri", tz="Europe/Zurich")

    assert datetime(2026, 1, 1, 2, tzinfo=UTC) == spec.next_after(NEW_YEAR)
    assert datetime(2026, 7, 1, 1, tzinfo=UTC) == spec.next_after(
        datetime(2026, 6, 30, 12, tzinfo=UTC)
    )


def test_a_sixth_field_is_seconds() -> None:
    """It stands first."""
    expected = [NEW_YEAR + timedelta(seconds=n) for n in (15, 30, 45, 60)]

    assert expected == cron("*/15 * * * * *").upcoming(NEW_YEAR, 4)


@pytest.mark.parametrize(
    ("nickname", "expected"),
    [
        ("@hourly", "2026-01-01T01:00"),
        ("@daily", "2026-01-02T00:00"),
        ("@midnight", "2026-01-02T00:00"),
        ("@weekly", "2026-01-04T00:00"),
        ("@Monthly", "2026-02-01T00:00"),
        ("@yearly", "2027-01-01T00:00"),
        ("@annually", "2027-01-01T00:00"),
    ],
)
def test_the_usual_times_have_names(nickname: str, expected: str) -> None:
    """In whatever case."""
    tick = cron(nickname).next_after(NEW_YEAR)

    assert datetime.fromisoformat(expected).replace(tzinfo=UTC) == tick


def test_a_cron_has_a_start_and_an_end() -> None:
    """Both are ticks, where they fall on one."""
    start, until = NEW_YEAR + timedelta(days=3), NEW_YEAR + timedelta(days=5)
    spec = cron("@daily", start=start, until=until)

    expected = [start, start + timedelta(days=1), until]
    assert expected == spec.upcoming(NEW_YEAR - timedelta(days=100), 9)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 * * 5L", ["01-30", "02-27"]),  # the last Friday
        ("0 0 LW * *", ["01-30", "02-27"]),  # the last weekday
        ("0 0 L * *", ["01-31", "02-28"]),
        ("0 0 1 * MON", ["01-05", "01-12"]),  # either of the two
        ("0 0 * * MON#1", ["01-05", "02-02"]),
        ("0 0 29 2 *", ["02-29"]),  # in 2028
    ],
)
def test_days_are_named_in_many_ways(expression: str, expected: list[str]) -> None:
    """As Debian's cron understands them, and a few more."""
    ticks = cron(expression).upcoming(NEW_YEAR, len(expected))

    assert expected == [tick.strftime("%m-%d") for tick in ticks]


# When clocks change


@pytest.mark.parametrize(
    ("tz", "begin", "expected"),
    [
        (BERLIN, SPRING, ["03-29 03:00:00+0200", "03-30 02:30:00+0200"]),
        (NEW_YORK, "2026-03-07T12:00", ["03-08 03:00:00-0400", "03-09 02:30:00-0400"]),
    ],
)
@pytest.mark.parametrize("expression", ["30 2 * * *", "0 30 2 * * *"])
def test_a_time_that_the_spring_leaves_out_comes_at_once_after(
    expression: str, tz: str, begin: str, expected: list[str]
) -> None:
    """Once, with five fields as with six."""
    assert expected == shown(cron(expression, tz=tz), begin, 2)


@pytest.mark.parametrize(
    ("hour", "tz", "begin", "expected"),
    [
        (2, BERLIN, AUTUMN, ["10-25 02:30:00+0200", "10-26 02:30:00+0100"]),
        (1, NEW_YORK, "2026-10-31T12:00", ["11-01 01:30:00-0400", "11-02 01:30:00-0500"]),
    ],
)
@pytest.mark.parametrize("expression", ["30 {} * * *", "0 30 {} * * *"])
def test_a_time_that_the_autumn_shows_twice_comes_once(
    expression: str, hour: int, tz: str, begin: str, expected: list[str]
) -> None:
    """The first time, with five fields as with six."""
    assert expected == shown(cron(expression.format(hour), tz=tz), begin, 2)


def test_who_starts_within_the_repeated_hour_is_not_due_again() -> None:
    """02:30 was there before; 02:10, which is asked from, is the second one."""
    between = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)
    tick = cron("30 2 * * *", tz=BERLIN).next_after(between)

    assert datetime(2026, 10, 26, 1, 30, tzinfo=UTC) == tick


def test_every_hour_is_every_hour() -> None:
    """Both of those that are called two, and none that is left out."""
    hourly = cron("0 * * * *", tz=BERLIN)

    assert [
        "10-25 01:00:00+0200", "10-25 02:00:00+0200", "10-25 02:00:00+0100",
        "10-25 03:00:00+0100",
    ] == shown(hourly, "2026-10-25T00:30", 4)  # fmt: skip  # a row
    assert ["03-29 01:00:00+0100", "03-29 03:00:00+0200"] == shown(hourly, "2026-03-29T00:30", 2)


def test_many_times_of_the_hour_that_is_left_out_are_one() -> None:
    """There is but one instant at which the gap ends."""
    spec = cron("0,15,30 2,3 * * *", tz=BERLIN)

    assert [
        "03-29 03:00:00+0200", "03-29 03:15:00+0200", "03-29 03:30:00+0200",
        "03-30 02:00:00+0200",
    ] == shown(spec, SPRING, 4)  # fmt: skip  # a row


def test_a_gap_may_be_half_an_hour() -> None:
    """As on Lord Howe Island."""
    spec = cron("15 2 * * *", tz="Australia/Lord_Howe")

    assert ["10-04 02:30:00+1100", "10-05 02:15:00+1100"] == shown(spec, "2026-10-03T12:00", 2)


@pytest.mark.parametrize("tz", [BERLIN, NEW_YORK, "Australia/Lord_Howe", "America/Asuncion", "UTC"])
@pytest.mark.parametrize(
    "expression", ["30 2 * * *", "0 0 * * *", "*/20 2 * * *", "5 */3 * * *", "0,30 1-3 * * *"]
)
def test_to_ask_again_and_again_gives_what_cronsim_gives_in_one_go(
    expression: str, tz: str
) -> None:
    """Each process asks from wherever it is; all find the same, over a year."""
    begin = datetime(2026, 1, 1, 12, tzinfo=UTC)
    simulated = (t.astimezone(UTC) for t in CronSim(expression, begin.astimezone(ZoneInfo(tz))))
    until = begin + timedelta(days=365)
    expected = sorted(set(itertools.takewhile(lambda tick: tick <= until, simulated)))

    assert expected == cron(expression, tz=tz).between(begin, until)


# Looking back


@pytest.mark.parametrize(
    "spec",
    [every(seconds=10), every(days=3), cron("* * * * *"), cron("30 2 * * *", tz=BERLIN)],
    ids=str,
)
def test_the_last_tick_of_a_long_time_is_found(spec: Spec) -> None:
    """Also where that is the first one."""
    first = spec.next_after(NEW_YEAR)
    assert first is not None
    for end in (first, first + timedelta(hours=1), first + timedelta(days=4, seconds=5)):
        assert spec.between(NEW_YEAR, end)[-1] == spec.last_until(end, first)


@pytest.mark.alone
def test_to_look_back_over_years_is_quick() -> None:
    """As after a holiday of the server."""
    spec = cron("* * * * *")
    begin = time.perf_counter()
    last = spec.last_until(NEW_YEAR + timedelta(days=3650, seconds=30), NEW_YEAR)

    assert NEW_YEAR + timedelta(days=3650) == last
    assert 0.5 > time.perf_counter() - begin


# As text


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (every(minutes=5), "every 5 min"),
        (every(days=1.5), "every 1 d 12 h"),
        (every(seconds=90.25, jitter=2, missed="all"), "every 1 min 30 s 250 ms"),
        (cron("0  3 * * MON-fri", tz=BERLIN, overlap="skip"), "0 3 * * MON-fri Europe/Berlin"),
        (cron("@daily", start=NEW_YEAR, until=NEW_YEAR, jitter=timedelta(hours=1)), "@daily"),
    ],
)
def test_a_spec_is_kept_as_text(spec: Spec, words: str) -> None:
    """All of it comes back, and it has a short form to be read."""
    assert spec == spec_of(spec.text)
    assert words == str(spec)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"every":0}', '{"cron":"@daily","tz":"Moon/Base"}', '{"lunar":1}', "[]"]
)
def test_text_that_is_no_spec_is_refused(text: str) -> None:
    """It may be of a newer version, or of another machine."""
    with pytest.raises(ValueError, match="this is no schedule to this version"):
        spec_of(text)


# What could never be meant


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (every, r"an interval of 0 s: expected 0\.1 s to 100 years, as in every\(minutes=5\)"),
        (lambda: every(seconds=-5), r"an interval of -5 s"),
        (lambda: every(seconds=0.01), r"an interval of 0\.01 s"),
        (lambda: every(days=1e9), r"every\(…\)"),
        (lambda: every(seconds=math.inf), r"every\(…\)"),
        (lambda: every(seconds=math.nan), r"every\(…\)"),
        (lambda: every(hours=1, jitter=3601), r"jitter=3601 is longer than the interval"),
        (lambda: every(hours=1, jitter=-1), r"jitter=-1: expected 0 seconds or more"),
        (lambda: every(hours=1, jitter=math.nan), r"jitter=nan"),
        (lambda: every(hours=1, missed=ODD), r"missed='odd': expected skip, one, all"),
        (lambda: every(hours=1, overlap=ODD), r"overlap='odd': expected allow, skip"),
        (lambda: every(hours=1, missed="all", overlap="skip"), r"choose missed='one'"),
        (lambda: every(hours=1, start=NAIVE), r"which time zone"),
        (lambda: every(hours=1, until=NAIVE), r"until=.* which time zone"),
        (
            lambda: every(hours=1, start=NEW_YEAR, until=NEW_YEAR - timedelta(hours=1)),
            r"until=2025-12-31T23:00:00\+00:00 is before start=2026-01-01T00:00:00\+00:00",
        ),
        (lambda: cron("0 0 31 2 *"), r"cron\('0 0 31 2 \*'\): there is no such date"),
        (lambda: cron("0 0 30 feb *"), r"there is no such date"),
        (lambda: cron("0 0 31 apr,jun *"), r"there is no such date"),
        (lambda: cron("0 0 32 * *"), r"bad day-of-month"),
        (lambda: cron("0 0 * 13 *"), r"bad month"),
        (lambda: cron("0 0 1 13 *"), r"bad month"),
        (lambda: cron("0 0 * 2 tue#9"), r"bad day-of-week"),
        (lambda: cron("60 * * * *"), r"bad minute"),
        (lambda: cron("0 25 * * *"), r"bad hour"),
        (lambda: cron("0 0 * * mon-sun"), r"bad day-of-week"),
        (lambda: cron("0 0 1W * *"), r"bad day-of-month"),
        (lambda: cron("*/0 * * * *"), r"bad minute"),
        (lambda: cron("0 0 * * mon#1/2"), r"cron\('0 0 \* \* mon#1/2'\)"),
        (lambda: cron("0 3 * *"), r"expected 5 fields .* or 6 with seconds before them, got 4"),
        (lambda: cron("0 0 3 * * * 2026"), r"got 7"),
        (lambda: cron(""), r"got 0"),
        (lambda: cron("@reboot"), r"unknown, expected one of @yearly"),
        (lambda: cron("@daily", tz="Europe/Atlantis"), r"tz='Europe/Atlantis'\): no such time"),
        (lambda: cron("@daily", tz=""), r"no such time zone. Write one such as 'Europe/Zurich'"),
        (lambda: cron("@daily", tz="../etc/passwd"), r"no such time zone"),
        (lambda: cron("@daily", tz="Europe"), r"no such time zone"),
        (lambda: cron("@daily", until=NEW_YEAR, start=NEW_YEAR + timedelta(1)), r"is before start"),
    ],
)  # fmt: skip  # a table
def test_what_could_never_be_meant_is_refused(make: Callable[[], Any], words: str) -> None:
    """The message says what it was, and what is expected."""
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: cron(5),  # type: ignore[arg-type]  # on purpose
        lambda: every(hours=1, start="2026-01-01"),  # type: ignore[arg-type]  # on purpose
    ],
)
def test_what_is_of_another_kind_is_refused(make: Callable[[], Any]) -> None:
    """As Python does."""
    with pytest.raises(TypeError, match="expected"):
        make()
