"""Reports that are written by themselves, at seven in Zurich, also after the clocks changed.

Run it: `python examples/reports.py`. A weekend passes in a blink, since its clock jumps; and
on Monday the application is down at seven. Without `clock=` it would take the weekend.
"""

from __future__ import annotations

import asyncio
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from errands import Errands, cron, every
from errands.testing import JumpingClock, drain

ZURICH = ZoneInfo("Europe/Zurich")
FRIDAY = datetime(2026, 3, 27, 5, 0, tzinfo=ZURICH)  # on Sunday the clocks go forward


def application(store: str, clock: JumpingClock) -> Errands:
    """What your `main.py` would say; here it is started twice."""
    errands = Errands(store, clock=clock)

    def say(text: str) -> None:
        print(f"{clock.now().astimezone(ZURICH):%a %H:%M}  {text}")

    @errands.schedule(cron("0 7 * * mon-fri", tz="Europe/Zurich"), "sales", name="sales report")
    @errands.schedule(cron("0 7 * * sun", tz="Europe/Zurich"), "visits", name="visits report")
    async def report(about: str) -> None:
        say(f"report on {about}")

    @errands.schedule(every(hours=24, start=FRIDAY, missed="skip"), name="backup")
    def back_up() -> None:
        say("backup")

    return errands


async def live(errands: Errands, clock: JumpingClock, hours: int) -> None:
    """Be at work for so many hours."""
    async with errands.working():
        await drain(errands)
        for _ in range(2 * hours):
            clock.jump(timedelta(minutes=30))
            await drain(errands)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{Path(folder)}/errands.db"
        clock = JumpingClock(FRIDAY - timedelta(minutes=30))
        await live(application(store, clock), clock, hours=70)

        print("… down until Monday at nine: sales are made up for, the backup is not")
        clock.jump(datetime(2026, 3, 30, 9, 0, tzinfo=ZURICH) - clock.now())
        errands = application(store, clock)
        await live(errands, clock, hours=24)

        async with errands:
            for schedule in await errands.schedules.list():
                [upcoming] = errands.upcoming(schedule, 1)
                print(f"{schedule.name}: {upcoming.astimezone(ZURICH):next on %a at %H:%M}")


if __name__ == "__main__":
    asyncio.run(main())
