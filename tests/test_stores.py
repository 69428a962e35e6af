"""All stores keep the contract."""

from errands.testing import StoreContract


class TestStores(StoreContract):
    """Run once for each store, by the `url` fixture."""
