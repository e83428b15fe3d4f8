"""Listed hosts over SSH on good days and bad ones: what is shown, reported, and left behind."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase

from buildbot_drydock import events
from buildbot_drydock.interfaces import Host, HostSpec
from buildbot_drydock.latent import health, hosts
from buildbot_drydock.latent.definition import Surroundings
from buildbot_drydock.latent.host_provider import HostProvider
from buildbot_drydock.latent.hosts import SSH, HostPool
from buildbot_drydock.latent.hosts import Host as Listed
from buildbot_drydock.model import Health, Observed, Resource
from buildbot_drydock.testing.provider_contract import a_lease, the_resource
from tests import ssh_hosts

TOKEN = "drydock-1@build1"


class OnMachines(TestCase):
    """A pool of one host, or several, on real machines."""

    def setUp(self) -> None:
        self.machines = ssh_hosts.machines()
        self.machine = self.machines[0]
        self.directory = f"drydock-{self.id().rpartition('.')[2][-60:]}"
        self.events: list[events.Event] = []
        self.threads = ThreadPool(0, 2)
        self.threads.start()
        self.addCleanup(self.threads.stop)

        async def interpreter(host: Host, wanted: object) -> str:
            return "/usr/bin/python3"

        self.patch(hosts, "interpreter", interpreter)
        self.patch(health, "FIRST_PROOF_SECONDS", 0.1)

    def listed_as(self, name: str, machine: ssh_hosts.Machine, **fields: object) -> Listed:
        usual = {"address": machine.address, "port": machine.port, "user": machine.user}
        return Listed(name, **{**usual, **fields})

    def ssh(self, **fields: object) -> SSH:
        usual = {
            "keys": [self.machine.identity_file],
            "agent": False,
            "known_hosts": self.machine.known_hosts,
            "keepalive_interval": 0.5,
            "keepalive_count": 2,
            "connect_timeout": 2.0,
        }
        return SSH(**{**usual, **fields})

    def pool(self, **fields: object) -> HostProvider:
        usual = {
            "hosts": [self.listed_as("build1", self.machine)],
            "ssh": self.ssh(),
            "directory": self.directory,
            "min_free_disk": 0,
            "stop_grace": 1.0,
            "lost_after": 1.0,
            "probe_interval": 1.0,
        }
        installation = str(fields.pop("installation", "ours"))
        definition = HostPool("lab", **{**usual, **fields})
        self.assertEqual([each.sentence() for each in definition.problems], [])
        provider = definition.provider(
            Surroundings(
                reactor=reactor,
                basedir=os.getcwd(),
                thread_pool=self.threads,
                uniform=lambda: 0.0,
                installation=installation,
                report=lambda blueprint, event: self.events.append(event),
            )
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(provider.close()))
        return provider

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            await deferLater(reactor, 0.05)  # type: ignore[arg-type]

    async def observed(self, provider: HostProvider, token: str = TOKEN) -> Observed | None:
        return {each.token: each for each in await provider.inventory()}.get(token)

    async def until_it_is(
        self, health: Health | None, provider: HostProvider, token: str = TOKEN
    ) -> Observed | None:
        """Return what is listed once it has this health; ``None`` is not listed."""
        while True:
            found = await self.observed(provider, token)
            if (found and found.health) is health:
                return found
            await deferLater(reactor, 0.05)  # type: ignore[arg-type]

    async def in_use(self, provider: HostProvider, token: str = TOKEN) -> Resource:
        await provider.create(token, HostSpec())
        found = await self.until_it_is(Health.READY, provider, token)
        assert found is not None
        return the_resource(found)

    async def with_a_process(self, provider: HostProvider) -> Resource:
        resource = await self.in_use(provider)
        host = provider.connect(resource)
        await host.start(["sleep", "600"], tag=a_lease(0, resource).tag)
        return resource

    async def until_available(self, provider: HostProvider) -> None:
        await self.until(lambda: not provider.listed()[0].unavailable)

    async def until_unavailable(self, provider: HostProvider) -> str:
        await self.until(lambda: provider.listed()[0].unavailable)
        return provider.listed()[0].unavailable

    async def cleaned(self, provider: HostProvider) -> None:
        """Give the host up, and see that nothing is left."""
        await provider.destroy(TOKEN)
        await self.until_it_is(None, provider)
        self.assertEqual(self.sleepers(), [])
        self.assertFalse(self.on_disk("owner.json").exists())

    def sleepers(self) -> list[str]:
        return [each for each in self.machine.commands() if each.startswith("sleep 600")]

    def on_disk(self, path: str) -> Path:
        return self.machine.path(f"{self.machine.home}/{self.directory}/{path}")

    def told(self, kind: type[events.Event]) -> list[str]:
        return [each.sentence() for each in self.events if isinstance(each, kind)]


class TestBadDays(OnMachines):
    async def test_a_cut_cable_is_seen_and_what_ran_is_cleaned_up_once_it_is_back(self) -> None:
        provider = self.pool()
        await self.with_a_process(provider)
        self.machine.cut()
        self.addCleanup(self.machine.restore)
        await self.until_it_is(Health.FAILING, provider)
        await provider.destroy(TOKEN)
        found = await self.observed(provider)
        assert found is not None  # so its slot lock is kept
        self.assertEqual(len(self.sleepers()), 1)
        self.machine.restore()
        await self.until_it_is(None, provider)
        self.assertEqual(self.sleepers(), [])
        await self.until_available(provider)
        (lost,) = self.told(events.HostLost)
        self.assertIn("Host build1 failed while connected: ", lost)
        self.assertIn("Remedy: ", lost)
        await self.until(lambda: self.told(events.HostReturned))
        self.assertEqual(len(self.told(events.HostReturned)), 1)

    async def test_a_short_outage_breaks_nothing(self) -> None:
        provider = self.pool(lost_after=120.0)
        await self.with_a_process(provider)
        self.machine.hang_up()
        why = await self.until_unavailable(provider)
        self.assertIn("failed while connected", why)
        found = await self.observed(provider)
        assert found is not None
        self.assertIs(found.health, Health.READY)
        await self.until_available(provider)
        self.assertEqual(len(self.sleepers()), 1)
        await self.cleaned(provider)

    async def test_a_server_that_hangs_is_seen_and_comes_back(self) -> None:
        provider = self.pool()
        await self.with_a_process(provider)
        self.machine.freeze()
        self.addCleanup(self.machine.thaw)
        await self.until_it_is(Health.FAILING, provider)
        self.machine.thaw()
        await self.until_available(provider)
        await self.cleaned(provider)

    async def test_a_server_that_was_stopped_is_seen_and_comes_back(self) -> None:
        provider = self.pool()
        await self.with_a_process(provider)
        self.machine.stop_server()
        await self.until_it_is(Health.FAILING, provider)
        self.machine.start_server()
        await self.until_available(provider)
        await self.cleaned(provider)

    async def test_a_reboot_breaks_what_was_on_it_and_it_is_used_again(self) -> None:
        provider = self.pool(lost_after=120.0)
        await self.with_a_process(provider)
        await deferToThread(self.machine.reboot)
        found = await self.until_it_is(Health.FAILING, provider)
        assert found is not None
        self.assertIn("it was restarted", found.reason)
        await self.cleaned(provider)
        await self.in_use(provider, "drydock-2@build1")
        await provider.destroy("drydock-2@build1")
        await self.until_it_is(None, provider, "drydock-2@build1")

    async def test_another_host_key_is_refused_and_mended_in_the_file(self) -> None:
        known_hosts = Path(self.mktemp()).absolute()
        known_hosts.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.machine.known_hosts, known_hosts)
        provider = self.pool(ssh=self.ssh(known_hosts=str(known_hosts)), lost_after=120.0)
        await self.with_a_process(provider)
        other = Path(f"{self.machine.identity_file}.pub").read_text().split()[:2]
        known_hosts.write_text(f"{self.machine.address} {' '.join(other)}\n")
        self.machine.hang_up()
        await self.until_it_is(Health.FAILING, provider)
        lost = self.told(events.HostLost)[-1]
        self.assertIn("Host build1 failed while verifying its host key", lost)
        self.assertIn(str(known_hosts), lost)
        shutil.copy(self.machine.known_hosts, known_hosts)
        await self.until_available(provider)
        await self.cleaned(provider)

    async def test_a_refused_login_is_told_once_and_mended_on_the_host(self) -> None:
        allowed = self.machine.path(f"{self.machine.home}/.ssh/authorized_keys")
        content = allowed.read_text()
        self.addCleanup(allowed.write_text, content)
        allowed.write_text("")
        provider = self.pool()
        await provider.inventory()
        await self.until(lambda: self.told(events.HostLost))
        (lost,) = self.told(events.HostLost)
        self.assertIn("Host build1 failed while logging in", lost)
        self.assertIn(self.machine.user, lost)
        allowed.write_text(content)
        await self.until_available(provider)
        self.assertEqual(len(self.told(events.HostLost)), 1)

    async def test_a_machine_that_another_drydock_uses_is_left_to_it(self) -> None:
        provider = self.pool()
        await self.with_a_process(provider)
        theirs = self.pool(installation="theirs")
        await theirs.create("drydock-9@build1", HostSpec())
        found = await self.until_it_is(Health.FAILING, theirs, "drydock-9@build1")
        assert found is not None
        self.assertIn(f"another Drydock uses this machine, as {TOKEN}", found.reason)
        await theirs.destroy("drydock-9@build1")
        self.assertEqual(len(self.sleepers()), 1)
        await self.cleaned(provider)
        await self.until_available(theirs)


class TestWays(OnMachines):
    async def test_through_another_host(self) -> None:
        inner = self.machines[1]
        provider = self.pool(
            hosts=[
                self.listed_as("build1", self.machine, disabled="it is the way to others"),
                self.listed_as("inner", inner, jump="build1"),
            ]
        )
        resource = await self.in_use(provider, "drydock-1@inner")
        done = await provider.connect(resource).run(["hostname"], timeout=60)
        self.assertEqual(done.stdout.decode().strip(), inner.name)
        await provider.destroy("drydock-1@inner")
        await self.until_it_is(None, provider, "drydock-1@inner")

    async def test_a_tunnel_leads_from_the_host_to_the_master_and_comes_back(self) -> None:
        class Greeter(Protocol):
            def connectionMade(self) -> None:
                assert self.transport is not None
                self.transport.write(b"the master\n")
                self.transport.loseConnection()

        factory = ServerFactory()
        factory.protocol = Greeter  # type: ignore[assignment]
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)
        here = f"localhost:{port.getHost().port}"
        provider = self.pool(ssh=self.ssh(tunnel_to=here), lost_after=120.0)
        resource = await self.in_use(provider)
        data = resource.data
        self.assertEqual(data["master_address"], "localhost")
        call = ["bash", "-c", f"cat < /dev/tcp/localhost/{data['master_port']}"]
        done = await provider.connect(resource).run(call, timeout=60)
        self.assertEqual(done.stdout, b"the master\n")
        self.machine.hang_up()
        await self.until_unavailable(provider)
        await self.until_available(provider)
        done = await provider.connect(resource).run(call, timeout=60)
        self.assertEqual(done.stdout, b"the master\n")
        await self.cleaned(provider)


class TestTheFile(OnMachines):
    def entry(self, name: str, number: int) -> str:
        machine = self.machines[number]
        return f"{name}: {{address: {machine.address}, user: {machine.user}}}\n"

    async def test_it_is_read_again_when_it_changes_and_the_last_good_one_stays(self) -> None:
        path = Path(self.mktemp()).absolute().with_suffix(".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.entry("build1", 0))
        provider = self.pool(hosts=[], inventory=str(path))
        await self.in_use(provider)
        self.assertEqual(self.events, [])
        path.write_text(self.entry("build1", 0) + self.entry("build2", 1))
        await self.until_listed(provider, ["build1", "build2"])
        path.write_text("build1: {address: x, port: 99999}\n")
        await self.until_told(provider, events.HostListBroken, "host 'build1'")
        path.unlink()
        await self.until_told(provider, events.HostListBroken, "no such file")
        for _ in range(3):
            await provider.inventory()
        self.assertEqual(len(self.told(events.HostListBroken)), 2)
        self.assertEqual([each.name for each in provider.listed()], ["build1", "build2"])
        path.write_text(self.entry("build2", 1))
        await self.until_listed(provider, ["build2"])
        await self.until_it_is(Health.READY, provider)
        await self.cleaned(provider)
        read = self.told(events.HostListRead)
        self.assertIn("added build2", read[0])
        self.assertIn("removed build1", read[1])

    async def until_listed(self, provider: HostProvider, names: list[str]) -> None:
        while [each.name for each in provider.listed()] != names:
            await provider.inventory()

    async def until_told(self, provider: HostProvider, kind: type[events.Event], text: str) -> None:
        while not any(text in each for each in self.told(kind)):
            await provider.inventory()
