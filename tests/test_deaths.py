"""What is promised when worker processes die or freeze, on each store that they can share.

`docs/faults.md` is the table of these faults.
"""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest
from deaths import APP, Anywhere, outcomes
from server_driver import wait_until

from errands import Outcome, State

TRIES = 4  # of a measurement, on a machine that may have other work

pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Anywhere:
    if request.param == "postgres":
        return Anywhere(tmp_path, str(request.getfixturevalue("postgres_url")))
    return Anywhere(tmp_path, f"sqlite:///{tmp_path}/errands.db")


def test_fifty_jobs_of_a_killed_worker_start_again_within_a_second(place: Anywhere) -> None:
    """None is lost, and none runs in two living processes; their leases had long to go."""
    took = []
    for number in range(TRIES):
        texts = [f"{number}-{each}" for each in range(50)]
        place.gate.unlink(missing_ok=True)
        with place.working(target=APP) as victim:
            place.add_all("gated", texts)
            place.wait_until_started(texts)
            with place.working(target=APP) as heir:
                killed_at = time.time()
                victim.process.kill()
                starts = place.wait_until_started(texts, 2)
                place.open_gate()
                place.wait_until_done(texts)
        took.append(max(second.at for _, second in starts) - killed_at)
        jobs = place.stored()
        for text, (first, second) in zip(texts, starts, strict=True):
            assert (victim.pid, heir.pid) == (first.pid, second.pid)
            assert killed_at < second.at
            assert [Outcome.LOST, Outcome.DONE] == outcomes(jobs[text])
            assert 1 == len(place.effects("done", text))
        if took[-1] < 1:
            break

    assert min(took) < 1, took


@pytest.mark.alone
@pytest.mark.parametrize("is_early", [True, False], ids=["while they run", "when they are done"])
def test_the_late_writes_of_a_frozen_worker_are_refused(place: Anywhere, is_early: bool) -> None:
    """Its jobs were taken over once, at the end of their leases; the heir's outcomes are kept."""
    texts = [f"j{number}" for number in range(10)]
    with place.started(target=APP, LEASE="1") as frozen:
        frozen.wait_until_started()
        place.add_all("gated", texts)
        place.wait_until_started(texts)
        with place.started(target=APP, LEASE="1") as heir:
            heir.wait_until_started()
            os.kill(frozen.pid, signal.SIGSTOP)
            try:
                starts = place.wait_until_started(texts, 2)
                if not is_early:
                    place.open_gate()
                    place.wait_until_done(texts)
            finally:
                os.kill(frozen.pid, signal.SIGCONT)
            late = r"job \S+ \(gated\) .* its outcome, \w+, is (refused|dropped)"
            wait_until(lambda: len(re.findall(late, frozen.output)) == 10, lambda: frozen.output)
            place.open_gate()
            place.wait_until_done(texts)
            heir.stop()
            place.add_all("step", ["after"])  # the other goes on as before
            place.wait_until_done(["after"])
            jobs = place.stored()

    for text, (first, second) in zip(texts, starts, strict=True):
        assert (frozen.pid, heir.pid) == (first.pid, second.pid)
        assert [Outcome.LOST, Outcome.DONE] == outcomes(jobs[text])
        assert (2, str(heir.pid)) == (jobs[text].attempt, jobs[text].result)
        assert 2 == len(place.effects("start", text))
    assert str(frozen.pid) == jobs["after"].result
    assert not re.search("refused|dropped", heir.output)


def test_a_job_that_kills_its_process_ends_as_failed_alone(place: Anywhere) -> None:
    """After as many starts as a lost job has; what ran beside it is done all the same."""
    texts = [f"j{number}" for number in range(20)]
    place.add_all("poison", ["bad"])
    place.add_all("step", texts)
    with place.working(processes=2, target=APP) as worker:
        wait_until(
            lambda: place.stored()["bad"].state is State.FAILED,
            lambda: f"it had failed: {place.stored()['bad']}", 60,
        )  # fmt: skip  # a call
        place.wait_until_done(texts)
        jobs = place.stored()
        worker.stop()

    assert 5 == len(place.effects("start", "bad"))
    assert [*[Outcome.LOST] * 5, Outcome.FAILED] == outcomes(bad := jobs["bad"])
    assert bad.error == "Its worker was lost 5 times in a row; no start is left."
    for text in texts:  # one whose outcome was not saved when its process died starts again
        assert 1 <= len(place.effects("done", text)) <= jobs[text].attempt
