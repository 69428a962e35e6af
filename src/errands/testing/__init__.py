"""For tests: a clock that jumps, a way to wait for the background, and what a store must do."""

from ._clock import JumpingClock
from ._contract import StoreContract
from ._drain import drain

__all__ = ["JumpingClock", "StoreContract", "drain"]
