"""For tests: a clock that jumps, a way to wait for the background, and what a store must do."""

from ._clock import JumpingClock
from ._contract import StoreContract
from ._drain import drain
from ._transactions import TransactionContract

__all__ = ["JumpingClock", "StoreContract", "TransactionContract", "drain"]
