"""The provider of listed hosts, on machines in memory and on real ones over SSH.

It passes the suites of all providers on both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase

from buildbot_drydock import events
from buildbot_drydock.abilities import Closes, ListsHosts, Vacates
from buildbot_drydock.interfaces import Host, HostSpec
from buildbot_drydock.latent import hosts
from buildbot_drydock.latent.definition import Surroundings
from buildbot_drydock.latent.host_provider import HostEntry, HostList, HostProvider, host_list
from buildbot_drydock.latent.hosts import SSH, HostPool
from buildbot_drydock.latent.hosts import Host as Listed
from buildbot_drydock.latent.hosts_fields import HostFields
from buildbot_drydock.latent.keeper import Keeper, Rules
from buildbot_drydock.model import Health
from buildbot_drydock.testing.machines import Machine, MachineLink
from buildbot_drydock.testing.provider_contract import VacatesContract, a_lease, the_resource
from tests import ssh_hosts

TOKEN, OTHER = "drydock-1@build1", "drydock-2@build2"
RULES = Rules(installation="ours", directory="drydock")


class HostsContract(VacatesContract):
    """The suite, for a provider that works in the background."""

    token, other_token = TOKEN, OTHER
    provider: HostProvider

    async def test_destroying_one_host_leaves_the_others(self) -> None:
        # Whether a machine is in use shows only when that has been settled.
        await self.ready(self.token)
        await self.ready(self.other_token)
        self.assertEqual(self.living(), 2)
        await self.provider.destroy(self.token)
        self.assertEqual(await self.listed(), {self.other_token: Health.READY})
        self.assertEqual(self.living(), 1)

    def test_it_lists_hosts_and_closes(self) -> None:
        self.assertIsInstance(self.provider, ListsHosts)
        self.assertIsInstance(self.provider, Closes)
        self.assertIsInstance(self.provider, Vacates)

    async def test_a_restarted_master_finds_what_is_in_use(self) -> None:
        before = await self.ready(self.token)
        tag = a_lease(0, before).tag
        await self.provider.connect(before).start(["sleep", "600"], tag=tag)
        restarted = self.another_provider()
        self.addCleanup(lambda: Deferred.fromCoroutine(restarted.close()))
        await restarted.inventory()
        await self.settled(restarted)
        (found,) = await restarted.inventory()
        self.assertEqual((found.token, found.health), (self.token, Health.READY))
        self.assertEqual(found.data, before.data)
        await restarted.create(self.token, HostSpec(host="build1"))
        await self.settled(restarted)
        self.assertTrue(await restarted.connect(before).running(tag))
        await restarted.destroy(self.token)
        await self.settled(restarted)
        self.assertEqual(await restarted.inventory(), [])
        self.assertFalse(await restarted.connect(before).running(tag))

    def another_provider(self) -> HostProvider:
        raise NotImplementedError

    async def settled(self, provider: HostProvider) -> None:
        raise NotImplementedError

    async def settle(self) -> None:
        await self.settled(self.provider)


class FixedList:
    """A list that a test changes."""

    path = "hosts.yaml"

    def __init__(self) -> None:
        self.next: HostList | Exception | None = None

    async def changed(self) -> HostList | None:
        found, self.next = self.next, None
        if isinstance(found, Exception):
            raise found
        return found


class InMemory:
    """Machines in memory, and providers for them."""

    def begin(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000.0)
        self.machines = {name: Machine(self.clock) for name in ("build1", "build2", "build3")}
        self.source = FixedList()
        self.events: list[events.Event] = []

    def entries(self, *names: str, **fields: object) -> HostList:
        """Return a list of hosts; each machine is known by the address of its host."""
        hosts = [HostFields(name=name, address=name, **fields) for name in names]  # type: ignore[arg-type]
        return host_list(((host, host.address) for host in hosts), {"pool": "lab"})

    def new_provider(self, *, keep: bool = True) -> HostProvider:
        rules = replace(RULES, keep_build_directories=keep)

        async def find_interpreter(host: Host) -> str:
            return "/usr/bin/python3"

        def make_keeper(entry: HostEntry) -> Keeper:
            machine = self.machines[entry.way]
            return Keeper(
                entry.name,
                entry.host.address,
                lambda lost: MachineLink(machine, lost),
                rules,
                find_interpreter=find_interpreter,
                clock=self.clock,
                uniform=lambda: 0.5,
                changed=lambda: None,
                report=self.events.append,
            )

        return HostProvider(
            self.entries("build1", "build2"),
            self.source,
            make_keeper,
            clock=self.clock,
            keep_build_directories=keep,
            report=self.events.append,
        )


class TestOnMachinesInMemory(HostsContract, TestCase, InMemory):
    def make_provider(self) -> HostProvider:
        self.begin()
        provider = self.new_provider()
        self.addCleanup(lambda: Deferred.fromCoroutine(provider.close()))
        return provider

    def another_provider(self) -> HostProvider:
        return self.new_provider()

    def living(self) -> int:
        return sum(machine.marker() is not None for machine in self.machines.values())

    async def settled(self, provider: HostProvider) -> None:
        await provider.inventory()
        self.clock.advance(1)
        self.assertFalse(provider.is_working)


class TestTheList(TestCase, InMemory):
    def setUp(self) -> None:
        self.begin()
        self.provider = self.new_provider()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.provider.close()))

    async def inventory(self) -> dict[str, Health]:
        await self.provider.inventory()
        self.clock.advance(1)
        return {each.token: each.health for each in await self.provider.inventory()}

    async def test_it_is_told_in_its_order_with_labels_and_slots(self) -> None:
        first, second = self.provider.listed()
        self.assertEqual((first.name, second.name), ("build1", "build2"))
        self.assertEqual(first.labels, {"pool": "lab", "host": "build1"})
        self.assertIn("not been looked at", first.unavailable)
        await self.inventory()
        self.assertEqual([each.unavailable for each in self.provider.listed()], ["", ""])

    async def test_a_host_that_is_added_is_kept_from_then_on(self) -> None:
        self.source.next = self.entries("build1", "build3")
        await self.inventory()
        self.assertEqual([each.name for each in self.provider.listed()], ["build1", "build3"])
        self.assertEqual([each.unavailable for each in self.provider.listed()], ["", ""])
        (told,) = self.events
        self.assertEqual(
            told.sentence(),
            "The list of hosts in hosts.yaml was read: added build3; removed build2.",
        )

    async def test_a_broken_list_is_told_and_the_last_good_one_stays(self) -> None:
        from buildbot_drydock.latent.host_provider import BrokenList

        before = self.provider.listed()
        self.source.next = BrokenList("line 3: no address")
        await self.provider.inventory()
        self.assertEqual([h.name for h in self.provider.listed()], [h.name for h in before])
        (told,) = self.events
        self.assertIn("line 3: no address", told.sentence())

    async def test_a_host_that_is_removed_is_kept_until_it_is_clean(self) -> None:
        await self.provider.create(TOKEN, HostSpec())
        self.source.next = self.entries("build2")
        self.assertEqual(await self.inventory(), {TOKEN: Health.READY})
        self.assertEqual([each.name for each in self.provider.listed()], ["build2"])
        await self.provider.destroy(TOKEN)
        self.assertEqual(await self.inventory(), {})
        self.assertIsNone(self.machines["build1"].marker())
        self.assertFalse(any(link.is_open for link in self.machines["build1"].links))

    async def test_a_host_that_is_removed_after_a_restart_is_cleaned_up_too(self) -> None:
        await self.provider.create(TOKEN, HostSpec())
        await self.inventory()
        await self.provider.close()
        self.provider = self.new_provider()
        self.assertEqual(await self.inventory(), {TOKEN: Health.READY})
        self.source.next = self.entries("build2")
        for _ in range(3):
            self.assertEqual(await self.inventory(), {TOKEN: Health.READY})
        await self.provider.destroy(TOKEN)
        self.assertEqual(await self.inventory(), {})
        self.assertIsNone(self.machines["build1"].marker())

    async def test_a_host_that_nobody_lists_fails_and_can_be_given_up(self) -> None:
        token = "drydock-1@elsewhere"
        await self.provider.create(token, HostSpec(host="elsewhere"))
        (observed,) = await self.provider.inventory()
        self.assertEqual(observed.health, Health.FAILING)
        self.assertIn("not listed any more", observed.reason)
        await self.provider.destroy(token)
        self.assertEqual(await self.provider.inventory(), [])
        await self.provider.vacate(the_resource(observed), a_lease(0, the_resource(observed)))

    async def test_a_changed_way_counts_once_nothing_of_the_old_one_is_left(self) -> None:
        await self.provider.create(TOKEN, HostSpec())
        await self.inventory()
        moved = HostFields(name="build1", address="build3")
        self.source.next = host_list([(moved, "build3")], {})
        self.assertEqual(await self.inventory(), {TOKEN: Health.READY})
        self.assertIn("its entry was changed", self.provider.listed()[0].disabled)
        self.assertEqual(self.machines["build3"].done, [])
        await self.provider.destroy(TOKEN)
        await self.inventory()
        self.assertEqual(self.provider.listed()[0].disabled, "")
        self.assertIsNone(self.machines["build1"].marker())
        await self.provider.create("drydock-3@build1", HostSpec())
        await self.inventory()
        self.assertIsNotNone(self.machines["build3"].marker())

    async def test_a_disabled_host_says_so_until_its_time_is_over(self) -> None:
        until = self.clock.seconds() + 60
        disabled = {"reason": "disk swap", "until": until}
        self.source.next = self.entries("build1")
        await self.inventory()
        host = HostFields.model_construct(
            name="build1", address="build1", labels={}, slots=1, disabled=hosts_disabled(disabled)
        )
        self.source.next = host_list([(host, "build1")], {})
        await self.inventory()
        self.assertIn("disk swap, until 20", self.provider.listed()[0].disabled)
        self.assertFalse(self.machines["build1"].links[0].is_open)
        self.clock.advance(61)
        await self.inventory()
        self.assertEqual(self.provider.listed()[0].disabled, "")
        self.assertEqual(self.provider.listed()[0].unavailable, "")

    async def test_a_closed_provider_keeps_nothing_open(self) -> None:
        await self.provider.create(TOKEN, HostSpec())
        await self.inventory()
        await self.provider.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(any(link.is_open for link in self.machines["build1"].links))
        self.assertIsNotNone(self.machines["build1"].marker())

    async def test_one_machine_that_hangs_holds_up_no_other_and_no_verb(self) -> None:
        self.machines["build1"].hold = Deferred()
        await self.provider.create(TOKEN, HostSpec())
        await self.provider.create(OTHER, HostSpec())
        self.assertEqual(await self.inventory(), {TOKEN: Health.STARTING, OTHER: Health.READY})
        await self.provider.destroy(TOKEN)
        self.assertEqual(await self.inventory(), {TOKEN: Health.FAILING, OTHER: Health.READY})
        self.machines["build1"].hold.callback(None)

    async def test_build_directories_of_a_slot_are_wiped_by_policy(self) -> None:
        for keep, left in ((True, 3), (False, 2)):
            provider = self.new_provider(keep=keep)
            self.addCleanup(lambda provider=provider: Deferred.fromCoroutine(provider.close()))
            await provider.create(TOKEN, HostSpec())
            await provider.inventory()
            self.clock.advance(1)
            machine = self.machines["build1"]
            for name in ("worker-0", "mine-0", "worker-1"):
                machine.files[f"drydock/{name}/buildbot.tac"] = b""
            if not keep:
                del machine.files["drydock/mine-0/buildbot.tac"]
                machine.files["drydock/mine-0/notes"] = b""  # no worker's directory
            (observed,) = await provider.inventory()
            resource = the_resource(observed)
            await provider.vacate(resource, a_lease(0, resource))
            self.assertEqual(len([f for f in machine.files if f != "drydock/owner.json"]), left)


def hosts_disabled(content: dict[str, object]) -> object:
    from buildbot_drydock.latent.hosts_fields import Disabled

    return Disabled(**content)  # type: ignore[arg-type]


class OverSSH:
    """Real machines, each with a directory of this test."""

    def new_pool(self, test: TestCase, **fields: object) -> HostProvider:
        machine = self.real[0]
        pool = HostPool(
            "lab",
            hosts=[
                Listed(f"build{number}", address=each.address, port=each.port, user=each.user)
                for number, each in enumerate(self.real, 1)
            ],
            ssh=SSH(keys=[machine.identity_file], agent=False, known_hosts=machine.known_hosts),
            directory=self.directory,
            min_free_disk=0,
            stop_grace=1.0,
            **{"make_venv": "if-needed", **fields},
        )
        test.assertEqual([each.sentence() for each in pool.problems], [])
        surroundings = Surroundings(
            reactor=reactor,
            basedir=".",
            thread_pool=self.threads,
            uniform=lambda: 0.5,
            installation="tests",
            report=lambda blueprint, event: self.events.append(event),
        )
        provider = pool.provider(surroundings)
        test.addCleanup(lambda: Deferred.fromCoroutine(provider.close()))
        return provider

    def begin(self, test: TestCase) -> None:
        self.real = ssh_hosts.machines()[:2]
        self.directory = f"drydock-{test.id().rpartition('.')[2][:60]}"
        self.events: list[events.Event] = []
        self.threads = ThreadPool(0, 2)
        self.threads.start()
        test.addCleanup(self.threads.stop)

        async def no_interpreter(host: Host, wanted: object) -> str:
            return "/usr/bin/python3"

        test.patch(hosts, "interpreter", no_interpreter)

    def markers(self) -> Iterator[dict[str, object]]:
        for machine in self.real:
            path = machine.path(f"{machine.home}/{self.directory}/owner.json")
            if path.exists():
                yield json.loads(path.read_text())


class TestOnRealMachines(HostsContract, TestCase, OverSSH):
    def make_provider(self) -> HostProvider:
        self.begin(self)
        return self.new_pool(self)

    def another_provider(self) -> HostProvider:
        return self.new_pool(self)

    def living(self) -> int:
        return len(list(self.markers()))

    async def settled(self, provider: HostProvider) -> None:
        await provider.inventory()
        await deferLater(reactor, 0.05)  # type: ignore[arg-type]
        while provider.is_working:
            await deferLater(reactor, 0.05)  # type: ignore[arg-type]
