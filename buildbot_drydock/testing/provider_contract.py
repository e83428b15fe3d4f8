"""What every provider must do, as tests that anyone may subclass::

    class TestMyCloud(ProviderContract, TestCase):
        def make_provider(self) -> Provider: ...
        def living(self) -> int: ...

The providers of this package pass the same suite, the one in memory included; that is what makes it
a fake worth trusting. A provider whose hosts can have twins passes ``TwinContract`` as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from buildbot_drydock.abilities import Vacates
from buildbot_drydock.interfaces import HostSpec, Provider
from buildbot_drydock.model import Health, Lease, LeaseStatus, Observed, Resource, ResourceStatus

if TYPE_CHECKING:
    _Base = TestCase
else:
    _Base = object

_RUN_SECONDS = 60.0  # a limit that is generous on the slowest machine


def a_lease(number: int, resource: Resource) -> Lease:
    """Return an active lease that no other run of the suite has."""
    return Lease(
        id=number,
        owner=f"worker/linux-{number:03}",
        nonce=uuid4().hex,
        status=LeaseStatus.ACTIVE,
        resource=resource.id,
        slot=number,
    )


def the_resource(observed: Observed) -> Resource:
    """Return the row of a host that was observed."""
    return Resource(
        id=1,
        blueprint="linux",
        token=observed.token,
        place=0,
        status=ResourceStatus.ACTIVE,
        identity=observed.identity,
        address=observed.address,
        data=observed.data,
    )


class HostlessContract(_Base):
    """The suite of providers on whose resources nothing can run.

    Subclasses say how to get a provider, and how to look behind its back.
    """

    token = "drydock-linux-1"
    other_token = "drydock-linux-2"

    def make_provider(self) -> Provider:
        """Return a provider that has no hosts."""
        raise NotImplementedError

    def living(self) -> int:
        """Count the hosts that exist, without asking the provider under test."""
        raise NotImplementedError

    async def settle(self) -> None:
        """Let time pass until all that was begun has finished."""

    def setUp(self) -> None:
        super().setUp()
        self.provider = self.make_provider()
        self.addCleanup(self._clean)

    def _clean(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._destroy_all())

    async def _destroy_all(self) -> None:
        for observed in await self.provider.inventory():
            await self.provider.destroy(observed.token, observed.identity)
        await self.settle()

    async def listed(self) -> dict[str, Health]:
        await self.settle()
        return {each.token: each.health for each in await self.provider.inventory()}

    async def ready(self, token: str) -> Resource:
        """Return a resource on a host that is ready."""
        await self.provider.create(token, HostSpec())
        await self.settle()
        (observed,) = [each for each in await self.provider.inventory() if each.token == token]
        self.assertEqual(observed.health, Health.READY)
        return the_resource(observed)

    async def test_there_are_no_hosts_at_first(self) -> None:
        self.assertEqual(await self.listed(), {})
        self.assertEqual(self.living(), 0)

    async def test_a_created_host_becomes_ready(self) -> None:
        await self.provider.create(self.token, HostSpec())
        self.assertEqual(await self.listed(), {self.token: Health.READY})
        self.assertEqual(self.living(), 1)

    async def test_a_listed_host_says_when_it_was_created(self) -> None:
        await self.ready(self.token)
        (observed,) = await self.provider.inventory()
        self.assertIsInstance(observed.created_at, float)

    async def test_asking_twice_builds_one_host(self) -> None:
        await self.provider.create(self.token, HostSpec())
        await self.provider.create(self.token, HostSpec())
        self.assertEqual(await self.listed(), {self.token: Health.READY})
        self.assertEqual(self.living(), 1)

    async def test_asking_again_for_a_host_that_is_ready_builds_no_other(self) -> None:
        before = await self.ready(self.token)
        after = await self.ready(self.token)
        self.assertEqual(after.identity, before.identity)
        self.assertEqual(self.living(), 1)

    async def test_asking_twice_at_once_builds_one_host(self) -> None:
        asked = [
            Deferred.fromCoroutine(self.provider.create(self.token, HostSpec())) for _ in range(2)
        ]
        await gatherResults(asked, consumeErrors=True)
        self.assertEqual(await self.listed(), {self.token: Health.READY})
        self.assertEqual(self.living(), 1)

    async def test_a_destroyed_host_is_gone(self) -> None:
        await self.ready(self.token)
        await self.provider.destroy(self.token)
        self.assertEqual(await self.listed(), {})
        self.assertEqual(self.living(), 0)

    async def test_a_host_can_be_destroyed_before_it_is_ready(self) -> None:
        await self.provider.create(self.token, HostSpec())
        await self.provider.destroy(self.token)
        self.assertEqual(await self.listed(), {})
        self.assertEqual(self.living(), 0)

    async def test_destroying_one_host_leaves_the_others(self) -> None:
        await self.provider.create(self.token, HostSpec())
        await self.provider.create(self.other_token, HostSpec(place=1))
        self.assertEqual(self.living(), 2)
        await self.provider.destroy(self.token)
        self.assertEqual(await self.listed(), {self.other_token: Health.READY})
        self.assertEqual(self.living(), 1)

    async def test_destroying_what_is_gone_succeeds(self) -> None:
        await self.ready(self.token)
        await self.provider.destroy(self.token)
        await self.provider.destroy(self.token)
        self.assertEqual(await self.listed(), {})

    async def test_destroying_what_never_was_succeeds_and_spares_what_is(self) -> None:
        await self.ready(self.token)
        await self.provider.destroy(self.other_token)
        await self.provider.destroy(self.other_token, "no-such-identity")
        self.assertEqual(await self.listed(), {self.token: Health.READY})

    async def test_destroying_another_identity_spares_the_host(self) -> None:
        await self.ready(self.token)
        await self.provider.destroy(self.token, "no-such-identity")
        self.assertEqual(await self.listed(), {self.token: Health.READY})

    async def test_destroying_twice_at_once_succeeds(self) -> None:
        await self.ready(self.token)
        asked = [Deferred.fromCoroutine(self.provider.destroy(self.token)) for _ in range(2)]
        await gatherResults(asked, consumeErrors=True)
        self.assertEqual(await self.listed(), {})
        self.assertEqual(self.living(), 0)

    async def test_after_a_host_was_destroyed_another_can_be_created(self) -> None:
        await self.ready(self.token)
        await self.provider.destroy(self.token)
        await self.ready(self.other_token)
        self.assertEqual(self.living(), 1)


class ProviderContract(HostlessContract):
    """The suite of all that provide hosts."""

    async def test_a_command_runs_on_a_host_that_is_ready(self) -> None:
        host = self.provider.connect(await self.ready(self.token))
        completed = await host.run(["true"], timeout=_RUN_SECONDS)
        self.assertEqual(completed.exit_code, 0)

    async def test_hosts_do_not_share_files(self) -> None:
        host = self.provider.connect(await self.ready(self.token))
        other = self.provider.connect(await self.ready(self.other_token))
        await host.write("notes", b"mine")
        self.assertFalse(await other.exists("notes"))


class VacatesContract(ProviderContract):
    """For providers on whose hosts a lease can leave something running."""

    def vacating(self) -> Vacates:
        assert isinstance(self.provider, Vacates)
        return self.provider

    async def test_vacating_ends_what_the_lease_started_and_nothing_else(self) -> None:
        resource = await self.ready(self.token)
        host = self.provider.connect(resource)
        ended, other = a_lease(0, resource), a_lease(1, resource)
        await host.start(["sleep", "600"], tag=ended.tag)
        await host.start(["sleep", "600"], tag=other.tag)
        await self.vacating().vacate(resource, ended)
        self.assertFalse(await host.running(ended.tag))
        self.assertTrue(await host.running(other.tag))

    async def test_vacating_again_succeeds(self) -> None:
        resource = await self.ready(self.token)
        lease = a_lease(0, resource)
        await self.vacating().vacate(resource, lease)
        await self.vacating().vacate(resource, lease)

    async def test_vacating_a_host_that_is_gone_succeeds(self) -> None:
        resource = await self.ready(self.token)
        await self.provider.destroy(self.token)
        await self.settle()
        await self.vacating().vacate(resource, a_lease(0, resource))


class TwinContract(ProviderContract):
    """For providers that can come to have two hosts with one token."""

    async def make_twin(self, token: str) -> None:
        """Build a second host with the token of another, behind the provider's back."""
        raise NotImplementedError

    async def twins(self) -> list[Observed]:
        await self.ready(self.token)
        await self.make_twin(self.token)
        await self.settle()
        return list(await self.provider.inventory())

    async def test_twins_are_both_listed_and_told_apart(self) -> None:
        first, second = await self.twins()
        self.assertEqual((first.token, second.token), (self.token, self.token))
        self.assertNotEqual(first.identity, second.identity)

    async def test_the_first_twin_is_destroyed_and_the_second_lives(self) -> None:
        doomed, spared = await self.twins()
        await self._destroy_one(doomed, spared)

    async def test_the_second_twin_is_destroyed_and_the_first_lives(self) -> None:
        spared, doomed = await self.twins()
        await self._destroy_one(doomed, spared)

    async def _destroy_one(self, doomed: Observed, spared: Observed) -> None:
        await self.provider.destroy(self.token, doomed.identity)
        await self.settle()
        (left,) = await self.provider.inventory()
        self.assertEqual(left.identity, spared.identity)
        self.assertEqual(self.living(), 1)

    async def test_without_an_identity_both_twins_are_destroyed(self) -> None:
        await self.twins()
        await self.provider.destroy(self.token)
        self.assertEqual(await self.listed(), {})
        self.assertEqual(self.living(), 0)
