"""Builds on leased machines while bad things happen to these: a real master, real OpenSSH servers."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

from buildbot.process.results import RETRY, SUCCESS
from twisted.trial.unittest import SynchronousTestCase

from tests import ssh_hosts
from tests.lab import HeldRequest, Lab, Lease, freeze, thaw

LONG = 300.0  # seconds that nothing here takes


class OnHosts(SynchronousTestCase):
    """One master for all tests of a class; each leaves the machines as it found them."""

    settings: ClassVar[dict[str, Any]] = {}

    @classmethod
    def setUpClass(cls) -> None:
        cls.machines = ssh_hosts.machines()
        cls.lab = cls.new_lab()
        cls.addClassCleanup(cls.lab.end)
        cls.prepare()
        cls.lab.start()

    @classmethod
    def new_lab(cls) -> Lab:
        return Lab(cls.new_directory(), cls.machines, **cls.settings)

    @classmethod
    def new_directory(cls) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"{cls.__name__}-", dir=Path.cwd()))

    @classmethod
    def prepare(cls) -> None:
        """Make the machines what they are before the master starts."""

    def setUp(self) -> None:
        """Begin once whatever an earlier test did to the machines is over."""
        for host in self.lab.machines:
            self.lab.until(lambda: self.is_as_usual(host), f"{host} to be as usual")  # noqa: B023
        self.began = self.lab.moment()

    def is_as_usual(self, host: str) -> bool:
        return self.lab.is_back(host)

    # --- what happens ------------------------------------------------------------------------

    def build_running(self, host: str = "") -> tuple[HeldRequest, Lease]:
        request = self.lab.request_held(host)
        self.addCleanup(request.let_go)
        return request, request.running()

    def machine(self, lease: Lease) -> ssh_hosts.Machine:
        return self.lab.machines[lease.host]

    # --- what must have happened -------------------------------------------------------------

    def assert_lost(self, host: str, *texts: str) -> None:
        """See the host reported as lost, in one sentence that says these things."""
        sentence = self.lab.told("host-lost", self.began, host=host)
        for text in (f"Host {host} failed", *texts):
            self.assertIn(text, sentence)

    def assert_back(self, host: str) -> None:
        """See the host reported as back, and a build run on it; and that nothing else is left."""
        self.lab.told("host-returned", self.began, host=host)
        self.assert_in_service(host)

    def assert_in_service(self, host: str) -> None:
        self.lab.builds_on(host)
        self.lab.until(lambda: not self.lab.leftovers(), "the leftovers to be cleaned up")

    def assert_goes_on(self, request: HeldRequest, lease: Lease) -> None:
        """See the build succeed at the first attempt, on the lease that it had."""
        request.let_go()
        self.assertEqual(request.finished().results, SUCCESS)
        self.assertEqual(request.results(), [SUCCESS])
        self.assertEqual(self.lab.events("lease-broken", self.began, lease=lease.number), [])

    def assert_broken(self, lease: Lease, *texts: str) -> None:
        sentence = self.lab.told("lease-broken", self.began, lease=lease.number)
        for text in texts:
            self.assertIn(text, sentence)

    def assert_tried_again(self, request: HeldRequest, lease: Lease) -> None:
        """See the build, which lost its host, succeed on another one."""
        again = request.running(times=2)
        request.let_go()
        self.assertEqual(request.finished().results, SUCCESS)
        self.assertEqual(request.results(), [RETRY, SUCCESS])
        self.assertNotEqual(again.number, lease.number)
        self.assertEqual(self.lab.events("lease-broken", self.began, lease=again.number), [])


class TestFirstBuilds(OnHosts):
    """On a machine that has nothing but a Python."""

    settings: ClassVar[dict[str, Any]] = {"pool": {"directory": "drydock-first"}}

    @classmethod
    def new_lab(cls) -> Lab:
        return Lab(cls.new_directory(), cls.machines[:1], **cls.settings)

    def made(self) -> list[tuple[str, int]]:
        """Return the environments on the machine, and when each was complete."""
        machine = self.lab.machines["build1"]
        place = machine.path(f"{machine.home}/drydock-first/venv")
        found = place.glob("*/.drydock-complete")
        return [(each.parent.name, each.stat().st_mtime_ns) for each in found]

    def test_the_environment_is_made_once_and_serves_later_leases_and_masters(self) -> None:
        self.lab.builds_on("build1")
        first = self.made()
        self.assertEqual(len(first), 1)
        self.lab.builds_on("build1")
        self.lab.master.stop()
        self.lab.start()
        self.lab.builds_on("build1")
        self.assertEqual(self.made(), first)
        self.assertEqual(self.lab.events("host-lost", 0), [])


class TestLostHosts(OnHosts):
    """Hosts are away for longer than their leases wait for them."""

    settings: ClassVar[dict[str, Any]] = {"pool": {"lost_after": 3.0}}

    def test_a_cable_that_is_cut_sends_the_build_to_another_host(self) -> None:
        request, lease = self.build_running()
        self.machine(lease).cut()
        self.addCleanup(self.machine(lease).restore)
        self.assert_lost(lease.host, "while connected", "Remedy: ")
        self.assert_broken(lease, f"host {lease.host}")
        self.assert_tried_again(request, lease)
        self.machine(lease).restore()
        self.assert_back(lease.host)

    def test_a_host_that_hangs_loses_its_build_and_comes_back(self) -> None:
        request, lease = self.build_running()
        freeze(self.machine(lease))
        self.addCleanup(thaw, self.machine(lease))
        self.assert_lost(lease.host, "Remedy: ")
        self.assert_broken(lease, f"host {lease.host}")
        self.assert_tried_again(request, lease)
        thaw(self.machine(lease))
        self.assert_back(lease.host)


class TestBadDays(OnHosts):
    """Hosts have troubles that end, or are told, long before they count as lost."""

    @classmethod
    def new_lab(cls) -> Lab:
        directory = cls.new_directory()
        cls.known_hosts = directory / "known_hosts"
        shutil.copy(cls.machines[0].known_hosts, cls.known_hosts)
        return Lab(
            directory,
            cls.machines,
            ssh={"known_hosts": str(cls.known_hosts)},
            pool={"lost_after": LONG},
        )

    def test_a_cable_that_is_out_for_a_moment_harms_no_build(self) -> None:
        request, lease = self.build_running()
        self.machine(lease).cut()
        self.addCleanup(self.machine(lease).restore)
        self.assert_lost(lease.host, "while connected", "Remedy: ")
        self.machine(lease).restore()
        self.lab.told("host-returned", self.began, host=lease.host)
        self.assert_goes_on(request, lease)
        self.assert_in_service(lease.host)

    def test_a_server_that_is_restarted_harms_no_build(self) -> None:
        request, lease = self.build_running()
        self.machine(lease).stop_server()
        try:
            self.assert_lost(lease.host, "Remedy: ")
        finally:
            self.machine(lease).start_server()
        self.lab.told("host-returned", self.began, host=lease.host)
        self.assert_goes_on(request, lease)
        self.assert_in_service(lease.host)

    def test_a_host_that_is_rebooted_loses_its_build_and_comes_back(self) -> None:
        request, lease = self.build_running()
        self.machine(lease).reboot()
        self.assert_broken(lease, f"host {lease.host}", "it was restarted")
        self.assert_tried_again(request, lease)
        self.assert_in_service(lease.host)

    def test_a_host_with_another_key_is_refused_until_the_file_is_mended(self) -> None:
        request, lease = self.build_running()
        machine = self.machine(lease)
        before = self._fingerprint(machine)
        self._give_another_key(machine)
        self.addCleanup(self._give_its_own_key, lease.host, machine)
        self.assert_broken(lease, f"host {lease.host}", "verifying its host key")
        lost = "\n".join(self.lab.events("host-lost", self.began, host=lease.host))
        self.assertEqual(lost.count(before), 1)
        for text in (before, self._fingerprint(machine), str(self.known_hosts), "Remedy: "):
            self.assertIn(text, lost)
        self.assert_tried_again(request, lease)
        self._now_knows(machine)
        self.assert_back(lease.host)

    def test_a_user_who_may_not_log_in_any_more_takes_the_host_out_of_service(self) -> None:
        request, lease = self.build_running()
        machine = self.machine(lease)
        allowed = machine.path(f"{machine.home}/.ssh/authorized_keys")
        content = allowed.read_text()
        self.addCleanup(allowed.write_text, content)
        allowed.write_text("")
        machine.hang_up()
        self.assert_broken(lease, f"host {lease.host}", "while logging in", machine.user)
        self.assert_tried_again(request, lease)
        allowed.write_text(content)
        self.assert_back(lease.host)

    def test_a_host_whose_process_table_is_full_takes_no_new_builds(self) -> None:
        machine = self.lab.machines["build1"]
        profile = machine.path(f"{machine.home}/.bashrc")
        content = profile.read_text()
        self.addCleanup(profile.write_text, content)
        profile.write_text(f"ulimit -S -u 1\n{content}")
        self.assert_lost("build1", "its process table or memory is full")
        profile.write_text(content)
        self.assert_back("build1")

    def _give_another_key(self, machine: ssh_hosts.Machine) -> None:
        """Let the machine be as if it had been installed anew."""
        etc = machine.path("etc")
        for name in ("host_key", "host_key.pub"):
            (etc / name).rename(etc / f"{name}.kept")
        key = str(etc / "host_key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        machine.stop_server()
        machine.start_server()

    def _give_its_own_key(self, host: str, machine: ssh_hosts.Machine) -> None:
        began = self.lab.moment()
        etc = machine.path("etc")
        for name in ("host_key", "host_key.pub"):
            (etc / f"{name}.kept").rename(etc / name)
        self._now_knows(machine)
        machine.stop_server()
        machine.start_server()
        self.lab.told("host-returned", began, host=host)

    def _fingerprint(self, machine: ssh_hosts.Machine) -> str:
        key = str(machine.path("etc/host_key.pub"))
        done = subprocess.run(["ssh-keygen", "-lf", key], check=True, capture_output=True)
        return done.stdout.decode().split()[1]

    def _now_knows(self, machine: ssh_hosts.Machine) -> None:
        lines = self.known_hosts.read_text().splitlines()
        others = [each for each in lines if not each.startswith(f"{machine.address} ")]
        key = " ".join(machine.public_host_key.split()[:2])
        self.known_hosts.write_text("\n".join([*others, f"{machine.address} {key}", ""]))


class TestMaintenance(OnHosts):
    """An operator takes a host out of service."""

    def is_used(self, host: str) -> bool:
        return bool(
            self.lab.query(
                "SELECT 1 FROM drydock_resources WHERE host = ? AND status IN"
                " ('pending', 'active', 'released', 'broken')",
                host,
            )
        )

    def tearDown(self) -> None:
        for host in self.lab.machines:
            self.lab.order("enable_host", name=host)

    def test_an_idle_host_is_let_go_and_comes_back_when_it_is_enabled(self) -> None:
        self.lab.order("disable_host", name="build1", reason="disk swap")
        self.lab.until(lambda: not self.is_used("build1"), "build1 to be let go")
        self.assertIn("disk swap", self.lab.told("host-mode-changed", self.began, host="build1"))
        waiting = self.lab.request("build1")
        self.lab.builds_on("build2")
        self.assertEqual(waiting.results(), [None])
        self.lab.order("enable_host", name="build1")
        self.assertEqual(waiting.finished().results, SUCCESS)
        self.assert_in_service("build1")

    def test_a_busy_host_is_let_go_after_its_build(self) -> None:
        request, lease = self.build_running("build1")
        self.lab.order("disable_host", name="build1", reason="disk swap")
        self.lab.builds_on("build2")
        self.assert_goes_on(request, lease)
        self.lab.until(lambda: not self.is_used("build1"), "build1 to be let go")

    def test_at_once_the_build_of_a_busy_host_is_ended_and_runs_elsewhere(self) -> None:
        request, lease = self.build_running()
        self.lab.order("disable_host", name=lease.host, reason="fire", at_once=True)
        self.assert_broken(lease, "fire")
        self.assert_tried_again(request, lease)
        self.lab.until(lambda: not self.is_used(lease.host), "the host to be let go")
        self.assertEqual(self.lab.machines[lease.host].commands(), [])

    def test_a_host_comes_back_when_its_time_is_over(self) -> None:
        until = time.time() + 4
        self.lab.order("disable_host", name="build1", reason="lunch", until=until)
        self.lab.told("host-mode-changed", self.began, host="build1")
        self.assert_in_service("build1")


class TestWrongFromTheStart(OnHosts):
    """One host after another can't be used; the last can."""

    def is_as_usual(self, host: str) -> bool:
        return True

    @classmethod
    def new_lab(cls) -> Lab:
        directory = cls.new_directory()
        cls.known_hosts = directory / "known_hosts"
        cls.known_hosts.write_text(
            "".join(
                f"{each.address} {' '.join(each.public_host_key.split()[:2])}\n"
                for each in (cls.machines[0], cls.machines[2])
            )
        )
        return Lab(directory, cls.machines, ssh={"known_hosts": str(cls.known_hosts)})

    @classmethod
    def prepare(cls) -> None:
        cls.set_password(cls.machines[0], "!")
        cls.addClassCleanup(cls.set_password, cls.machines[0], "*")

    @classmethod
    def set_password(cls, machine: ssh_hosts.Machine, password: str) -> None:
        subprocess.run(["usermod", "-p", password, machine.user], check=True)

    def test_such_hosts_get_no_lease_until_they_are_mended(self) -> None:
        locked, unknown = self.lab.machines["build1"], self.lab.machines["build2"]
        requests = [self.lab.request() for _ in range(3)]
        self.began = 0
        for request in requests:
            self.assertIn(self.lab.machines["build3"].user, request.finished().output)
            self.assertEqual(request.results(), [SUCCESS])
        self.assert_lost("build1", "while logging in", locked.user, "Remedy: ", "not locked")
        self.assert_lost("build2", "while verifying its host key", "unknown", "Remedy: ")
        self.assertEqual(
            self.lab.query("SELECT DISTINCT host FROM drydock_resources WHERE uses > 0"),
            [("build3",)],
        )
        for host in ("build1", "build2"):
            self.assertEqual(len(self.lab.events("host-lost", 0, host=host)), 1)
        self.set_password(locked, "*")
        key = " ".join(unknown.public_host_key.split()[:2])
        with self.known_hosts.open("a") as file:
            file.write(f"{unknown.address} {key}\n")
        self.assert_back("build1")
        self.assert_back("build2")


class TestMachinesThatLack(OnHosts):
    """One has no space on its disk, one no Python, one an odd clock; that one is used."""

    settings: ClassVar[dict[str, Any]] = {"pool": {"python": "/run/python3"}}

    def is_as_usual(self, host: str) -> bool:
        return True

    @classmethod
    def prepare(cls) -> None:
        full, _, odd = cls.machines
        for machine in (full, odd):
            cls.give_python(machine)
        place = f"{full.home}/drydock"
        full.shell(
            f"mkdir -p {place} && mount -t tmpfs -o size=256k tmpfs {place} &&"
            f" chown {full.user}: {place} && head -c 1000000 /dev/zero > {place}/core || true"
        )
        cls.addClassCleanup(full.shell, f"umount {place} || true")
        date = odd.path(f"{odd.home}/bin/date")
        date.parent.mkdir(exist_ok=True)
        date.write_text('#!/bin/sh\nexec /bin/date -d "2 hours" "$@"\n')
        date.chmod(0o755)
        rc = odd.path(f"{odd.home}/.bashrc")
        before = rc.read_text()
        rc.write_text(f"PATH=~/bin:$PATH\n{before}")
        cls.addClassCleanup(rc.write_text, before)

    @classmethod
    def give_python(cls, machine: ssh_hosts.Machine) -> None:
        link = machine.path("/run/python3")
        if not link.is_symlink():
            link.symlink_to("/usr/bin/python3")
        cls.addClassCleanup(link.unlink, missing_ok=True)

    def test_each_is_told_with_its_remedy_and_others_go_on(self) -> None:
        self.began = 0
        request = self.lab.request()
        self.assertIn(self.machines[2].user, request.finished().output)
        self.assert_lost("build1", "No space left on device", "ree some space")
        self.assert_lost("build2", "/run/python3", "Install Python 3")
        warned = self.lab.told("host-warned", 0, host="build3")
        self.assertIn("ahead of the master's", warned)
        self.assertIn("NTP", warned)
        self.give_python(self.machines[1])
        self.assert_back("build2")
        self.machines[0].shell(f"umount {self.machines[0].home}/drydock")
        self.assert_back("build1")


class TestTunnel(OnHosts):
    """The master listens on its own machine only: hosts reach it through their connections."""

    settings: ClassVar[dict[str, Any]] = {"pool": {"lost_after": LONG}}

    @classmethod
    def new_lab(cls) -> Lab:
        lab = Lab(cls.new_directory(), cls.machines, **cls.settings)
        lab.settings["worker_port"] = f"tcp:{lab.ports.workers}:interface=127.0.0.1"
        lab.settings["ssh"]["tunnel_to"] = f"localhost:{lab.ports.workers}"
        return lab

    def test_a_worker_that_loses_the_tunnel_comes_back_through_the_next_one(self) -> None:
        request, lease = self.build_running()
        self.machine(lease).hang_up()
        self.assert_lost(lease.host, "Remedy: ")
        self.lab.told("host-returned", self.began, host=lease.host)
        request.let_go()
        self.assertEqual(request.finished().results, SUCCESS)
        self.assertEqual(self.lab.events("lease-broken", self.began, lease=lease.number), [])
        self.assert_in_service(lease.host)

    def test_a_worker_finds_a_restarted_master_through_the_next_one(self) -> None:
        request, lease = self.build_running()
        self.lab.kill()
        self.lab.start()
        request.let_go()
        self.assertEqual(request.finished().results, SUCCESS)
        self.assertEqual(self.lab.events("lease-broken", self.began, lease=lease.number), [])
        self.assert_in_service(lease.host)


class TestStaleWorkers(OnHosts):
    """One host and one worker, which asks for a lease anew as soon as it has lost one."""

    settings: ClassVar[dict[str, Any]] = {"workers": {"size": 1}, "pool": {"lost_after": 1.0}}

    @classmethod
    def new_lab(cls) -> Lab:
        return Lab(cls.new_directory(), cls.machines[:1], **cls.settings)

    def test_a_process_that_outlived_its_lease_cannot_log_in_and_is_ended(self) -> None:
        request, lease = self.build_running()
        machine = self.machine(lease)
        (log,) = machine.path(f"{machine.home}/drydock").glob("worker-*/twistd.log")
        machine.freeze()
        self.addCleanup(machine.thaw)
        self.assert_broken(lease)
        self.lab.until(
            lambda: "unauthorized login" in log.read_text(), "the old process to be refused"
        )
        self.lab.until(lambda: request.results() == [RETRY, None], "the build to wait for a lease")
        machine.thaw()
        request.running(times=2)
        request.let_go()
        self.assertEqual(request.finished().results, SUCCESS)
        self.assertEqual(request.results(), [RETRY, SUCCESS])
        self.assert_back(lease.host)
