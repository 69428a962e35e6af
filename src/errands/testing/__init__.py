"""For tests: a clock that jumps, a way to wait for the background, and what a store must do."""

try:
    from ._contract import StoreContract
    from ._transactions import TransactionContract
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"errands.testing needs pytest ({error}): pip install 'errands[testing]'",
        name=error.name,
    ) from error

from ._clock import JumpingClock
from ._drain import drain

__all__ = ["JumpingClock", "StoreContract", "TransactionContract", "drain"]
