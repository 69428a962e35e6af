"""When a failed job is tried again, and after how long."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from ._plain import LONGEST, Seconds, is_whole, seconds

Errors = type[BaseException] | tuple[type[BaseException], ...]


@dataclass(frozen=True, slots=True)
class Retry:
    """Try a failed job again, each time after a longer wait.

    Args:
        attempts: How often the job may start in all; `None` means without end.
        wait: Seconds before the second attempt, at the most; they double with each further one.
        max_wait: No wait is longer than this, in seconds.
        on: Only these exceptions are worth another attempt. A run that took longer than the
            task's `timeout` is a `TimeoutError`, which is an `OSError`.
        lost: Starts that a job has in any case when its worker dies under it. Dying says
            little about the job, so a job that may be tried once survives a few deploys and
            crashes; one that kills its worker each time still ends as failed.
    """

    attempts: int | None = 1
    wait: Seconds = 15.0
    max_wait: Seconds = 3600.0
    on: Errors = Exception
    lost: int = 5

    def __post_init__(self) -> None:
        """Refuse what could never be meant.

        Raises:
            ValueError: if a number is out of its range.
            TypeError: if `on` is not made of exception types, or a wait is no length of time.
        """
        if self.attempts is not None and not (is_whole(self.attempts) and self.attempts >= 1):
            raise ValueError(
                f"Retry(attempts={self.attempts!r}): expected a whole number, or None for without "
                "end: a job starts at least once"
            )
        if not (is_whole(self.lost) and self.lost >= 0):
            raise ValueError(f"Retry(lost={self.lost!r}): expected a whole number, 0 or more")
        for name, wait in ("wait", self.wait), ("max_wait", self.max_wait):
            if not seconds(wait) >= 0:
                raise ValueError(f"Retry({name}={wait!r}): expected 0 or more")
        kinds: tuple[object, ...] = self.on if isinstance(self.on, tuple) else (self.on,)
        for kind in kinds:
            if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                raise TypeError(f"Retry(on=…): {kind!r} is not a type of exception")

    def wait_after(
        self,
        attempt: int,
        error: BaseException,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> float | None:
        """Seconds until the next attempt, or `None` if there is to be none.

        Args:
            attempt: The attempt that failed, counted from 1.
            error: What it failed with.
            draw: Draws a number between two.

        The wait is drawn between nothing and its full length, so that jobs that failed
        together do not come back together (full jitter: Brooker, "Exponential Backoff And
        Jitter", AWS, 2015).
        """
        spent = self.attempts is not None and attempt >= self.attempts
        if spent or not isinstance(error, self.on):
            return None
        full = seconds(self.wait) * 2.0 ** min(attempt - 1, 30)
        return draw(0.0, min(full, seconds(self.max_wait), LONGEST))

    def survives(self, attempt: int) -> bool:
        """Whether a job may start for the `attempt`th time after its worker was lost."""
        return self.attempts is None or attempt <= max(self.attempts, self.lost)
