"""The store contract on the in-memory store."""

from twisted.trial.unittest import TestCase

from buildbot_drydock.interfaces import Store
from buildbot_drydock.store.memory import MemoryStore
from buildbot_drydock.testing.store_contract import StoreContract


class TestMemoryStore(StoreContract, TestCase):
    async def make_store(self) -> Store:
        return MemoryStore(self.clock)
