"""What a store must do, as tests: subclass `StoreContract` and give it a `store` fixture."""

from __future__ import annotations

import pytest

from ._adding import Adding
from ._changing import Changing
from ._claiming import Claiming
from ._groups import Groups
from ._history import History
from ._limits import Limiting
from ._living import Living
from ._looking import Looking
from ._orders import Orders
from ._rates import Pacing
from ._refusing import Refusing
from ._saving import Saving
from ._schedules import Schedules
from ._waiting import Waiting
from ._workers import Workers

__all__ = ["StoreContract"]


class StoreContract(
    Waiting,
    Refusing,
    Changing,
    Groups,
    History,
    Orders,
    Schedules,
    Limiting,
    Pacing,
    Workers,
    Living,
    Looking,
    Saving,
    Claiming,
    Adding,
):
    """Run by every store, ours or a stranger's.

    A subclass provides one fixture, `store`: an empty, open store. Two or more handles on
    the same jobs are tested by the store's own tests.
    """

    pytestmark = pytest.mark.anyio
