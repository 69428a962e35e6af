"""Every store keeps the contract."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from errands import Store
from errands.stores import store_at
from errands.testing import StoreContract


class TestStores(StoreContract):
    """Run once for each store, by the `url` fixture."""


class TestStandardLibrary(StoreContract):
    """The SQLite store once more, on the library that came with Python."""

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        """An empty one."""
        async with store_at(f"sqlite:///{tmp_path}/errands.db?driver=sqlite3") as store:
            yield store
