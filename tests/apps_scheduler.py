"""The schedules that worker processes have in their tests; `ERRANDS_URL`, as in `apps_worker`.

ONCE     the instant of the only tick of `MANY` schedules, in seconds since 1970
MANY     how many
OFTEN    how many schedules come each half second, from `ONCE` on
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

from errands import Errands, every

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
