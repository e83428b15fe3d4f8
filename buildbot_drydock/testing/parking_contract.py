"""What every provider that parks must do, as tests that anyone may subclass.

See ``provider_contract``; this suite contains that for providers whose hosts outlive a lease.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, gatherResults

from buildbot_drydock.abilities import Parks
from buildbot_drydock.interfaces import HostSpec
from buildbot_drydock.model import Health, Observed, Resource
from buildbot_drydock.testing.provider_contract import VacatesContract, a_lease, the_resource

_NOBODY = "no-such-identity"


class ParksContract(VacatesContract):
    """For providers that can stop hosts and start them again."""

    def running(self) -> int:
        """Count the hosts that run, without asking the provider under test."""
        raise NotImplementedError

    def parking(self) -> Parks:
        assert isinstance(self.provider, Parks)
        return self.provider

    async def seen(self) -> Observed:
        await self.settle()
        (observed,) = await self.provider.inventory()
        return observed

    async def parked(self) -> Resource:
        """Return a resource whose host is parked."""
        resource = await self.ready(self.token)
        await self.parking().park(self.token, resource.identity)
        self.assertIs((await self.seen()).health, Health.PARKED)
        return resource

    async def woken(self, resource: Resource) -> Observed:
        await self.parking().wake(self.token, resource.identity)
        await self.settle()
        observed = await self.seen()
        self.assertIs(observed.health, Health.READY)
        self.assertEqual(observed.identity, resource.identity)
        return observed

    async def test_a_host_that_is_ready_says_that_it_can_be_parked(self) -> None:
        await self.ready(self.token)
        self.assertTrue((await self.seen()).parkable)

    async def test_a_parked_host_is_there_and_does_not_run(self) -> None:
        resource = await self.parked()
        self.assertEqual((self.living(), self.running()), (1, 0))
        self.assertEqual((await self.seen()).identity, resource.identity)

    async def test_parking_again_succeeds(self) -> None:
        resource = await self.parked()
        await self.parking().park(self.token, resource.identity)
        self.assertIs((await self.seen()).health, Health.PARKED)

    async def test_parking_twice_at_once_succeeds(self) -> None:
        resource = await self.ready(self.token)
        verb = self.parking().park
        asked = [Deferred.fromCoroutine(verb(self.token, resource.identity)) for _ in range(2)]
        await gatherResults(asked, consumeErrors=True)
        self.assertIs((await self.seen()).health, Health.PARKED)

    async def test_parking_another_identity_spares_the_host(self) -> None:
        await self.ready(self.token)
        await self.parking().park(self.token, _NOBODY)
        self.assertIs((await self.seen()).health, Health.READY)

    async def test_parking_one_host_leaves_the_others(self) -> None:
        resource = await self.ready(self.token)
        await self.ready(self.other_token)
        await self.parking().park(self.token, resource.identity)
        expected = {self.token: Health.PARKED, self.other_token: Health.READY}
        self.assertEqual(await self.listed(), expected)

    async def test_a_woken_host_is_the_same_and_has_its_files(self) -> None:
        resource = await self.ready(self.token)
        await self.provider.connect(resource).write("notes", b"kept")
        await self.parking().park(self.token, resource.identity)
        self.assertIs((await self.seen()).health, Health.PARKED)
        host = self.provider.connect(the_resource(await self.woken(resource)))
        self.assertEqual(await host.read("notes"), b"kept")
        self.assertEqual((self.living(), self.running()), (1, 1))

    async def test_a_woken_host_can_be_used_and_vacated(self) -> None:
        resource = the_resource(await self.woken(await self.parked()))
        lease = a_lease(0, resource)
        host = self.provider.connect(resource)
        await host.start(["sleep", "600"], tag=lease.tag)
        await self.vacating().vacate(resource, lease)
        self.assertFalse(await host.running(lease.tag))

    async def test_waking_again_succeeds_and_changes_nothing(self) -> None:
        resource = await self.parked()
        await self.woken(resource)
        await self.woken(resource)
        self.assertEqual((self.living(), self.running()), (1, 1))

    async def test_waking_twice_at_once_succeeds(self) -> None:
        resource = await self.parked()
        verb = self.parking().wake
        asked = [Deferred.fromCoroutine(verb(self.token, resource.identity)) for _ in range(2)]
        await gatherResults(asked, consumeErrors=True)
        await self.settle()
        self.assertIs((await self.seen()).health, Health.READY)

    async def test_waking_another_identity_leaves_the_host_parked(self) -> None:
        await self.parked()
        await self.parking().wake(self.token, _NOBODY)
        self.assertIs((await self.seen()).health, Health.PARKED)

    async def test_a_host_is_parked_and_woken_many_times(self) -> None:
        resource = await self.parked()
        for _ in range(3):
            observed = await self.woken(resource)
            await self.parking().park(self.token, observed.identity)
            self.assertIs((await self.seen()).health, Health.PARKED)

    async def test_asking_again_for_a_host_that_is_parked_builds_no_other(self) -> None:
        resource = await self.parked()
        await self.provider.create(self.token, HostSpec())
        self.assertEqual((await self.seen()).identity, resource.identity)
        self.assertEqual(self.living(), 1)

    async def test_a_parked_host_can_be_destroyed(self) -> None:
        await self.parked()
        await self.provider.destroy(self.token)
        self.assertEqual(await self.listed(), {})
        self.assertEqual(self.living(), 0)

    async def test_parking_and_waking_what_is_gone_succeed_and_bring_nothing_back(self) -> None:
        resource = await self.parked()
        await self.provider.destroy(self.token)
        self.assertEqual(await self.listed(), {})
        await self.parking().park(self.token, resource.identity)
        await self.parking().wake(self.token, resource.identity)
        self.assertEqual(await self.listed(), {})
        self.assertEqual(self.living(), 0)
