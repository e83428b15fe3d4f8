"""What stands for a lock passes the suite of all providers, and is what the rows say."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from buildbot_drydock.errors import HostUnreachable
from buildbot_drydock.events import ResourceReleased, ResourceRequested
from buildbot_drydock.interfaces import HostSpec, Provider
from buildbot_drydock.latent.definition import Surroundings
from buildbot_drydock.latent.named_lock import NamedLock, NamedLockProvider
from buildbot_drydock.lifecycle import ResourceEvent
from buildbot_drydock.model import BlueprintState, ResourceRequest, ResourceStatus
from buildbot_drydock.store.memory import MemoryStore
from buildbot_drydock.testing import builders
from buildbot_drydock.testing.provider_contract import HostlessContract


class Rows:
    """The rows as the loop would have them that calls the provider."""

    def __init__(self) -> None:
        self.store = MemoryStore(Clock())

    async def add(self, token: str) -> None:
        place = len(await self.store.resources_of("matlab"))
        request = ResourceRequest(blueprint="matlab", token=token, place=place)
        record = ResourceRequested(built_for=None)
        if all(row.token != token for row in await self.store.resources_of("matlab")):
            await self.store.add_resource(request, record)

    async def end(self, token: str) -> None:
        for row in await self.store.resources_of("matlab"):
            if row.token == token:
                await self.store.move_resource(
                    row, ResourceEvent.BREAK, ResourceReleased(reason="a test")
                )


class _AsTheLoopCalls(NamedLockProvider):
    """The loop writes a row before it asks for what the row stands for, and ends it before that."""

    def __init__(self, rows: Rows) -> None:
        super().__init__("matlab", rows.store.resources_of)
        self._rows = rows

    async def create(self, token: str, spec: HostSpec) -> None:
        await self._rows.add(token)
        await super().create(token, spec)

    async def destroy(self, token: str, identity: str = "") -> None:
        if not identity:
            await self._rows.end(token)
        await super().destroy(token, identity)


class TestNamedLock(HostlessContract, TestCase):
    def make_provider(self) -> Provider:
        self.rows = Rows()
        return _AsTheLoopCalls(self.rows)

    def living(self) -> int:
        rows = self.rows.store._resources.values()
        living = (ResourceStatus.PENDING, ResourceStatus.ACTIVE)
        return sum(row.status in living for row in rows)


class NamedLockTests(SynchronousTestCase):
    def test_its_slots_are_those_of_the_one_resource_that_is_always_there(self) -> None:
        made = NamedLock("matlab", 3).blueprint(0.0)
        self.assertEqual((made.limit, made.leases_per_resource, made.min_ready), (1, 3, 1))
        self.assertEqual((made.provides, made.idle_timeout), ("lock", None))
        self.assertEqual((made.vacates, made.prepares), (False, False))

    def test_slots_may_be_named_and_are_one_otherwise(self) -> None:
        self.assertEqual(NamedLock("matlab", 3), NamedLock("matlab", slots=3))
        self.assertEqual(NamedLock("device").blueprint(0.0).leases_per_resource, 1)
        self.assertEqual(len(NamedLock("matlab", 3, 4).problems), 1)
        self.assertEqual(len(NamedLock("matlab", 3, slots=4).problems), 1)

    def test_what_is_said_of_hosts_is_refused_unless_it_says_nothing(self) -> None:
        self.assertEqual(NamedLock("matlab", limit=1, schedule=[]).problems, ())
        for field, value in {
            "limit": 2,
            "leases_per_resource": 3,
            "choices": {"a": ["b"]},
            "min_ready": 1,
            "max_age": 5.0,
            "boot_timeout": 5.0,
        }.items():
            (problem,) = NamedLock("matlab", **{field: value}).problems
            self.assertEqual(problem.field, field)

    def test_nothing_can_be_run_on_it(self) -> None:
        provider = NamedLock("matlab").provider(_surroundings())
        with self.assertRaisesRegex(
            HostUnreachable, "resource 7 is the lock 'matlab', which has no"
        ):
            provider.connect(builders.resource(7, "matlab"))

    def test_it_lists_its_own_alone(self) -> None:
        rows = Rows()
        provider = NamedLock("matlab").provider(_surroundings(resources=rows.store.resources_of))
        other = NamedLock("device").provider(_surroundings(resources=rows.store.resources_of))
        self.successResultOf(Deferred.fromCoroutine(rows.add("drydock-1")))
        listed = self.successResultOf(Deferred.fromCoroutine(provider.inventory()))
        self.assertEqual([each.token for each in listed], ["drydock-1"])
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(other.inventory())), [])

    def test_its_slots_can_be_edited_and_nothing_else_of_hosts(self) -> None:
        from buildbot_drydock.latent.overrides import edited
        from buildbot_drydock.model import Override

        lock = NamedLock("matlab", 3)
        made = edited(lock, {"slots": Override(value=2), "limit": Override(value=5)})
        self.assertEqual(list(made.ignored), ["limit"])
        state = BlueprintState(name="matlab")
        self.assertEqual(made.definition.blueprint(0.0, state).leases_per_resource, 2)


def _surroundings(**fields: Any) -> Surroundings:
    return Surroundings(
        reactor=Clock(),
        basedir="",
        thread_pool=None,
        uniform=lambda: 0.0,
        **fields,  # type: ignore[arg-type]
    )
