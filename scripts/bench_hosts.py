"""Workers started on hosts that are reached over SSH, by a whole master with real worker processes.

* ``hosts.start_ratio``: on a warm host, from the request of a lease to the worker attached, beside
  what the same takes by hand: ``ssh HOST true``, and a worker from the start of its process there
  until it is attached to the same master. A warm host is in use as a resource, with its connection
  open and its environment made. Both are measured in turn, on each host.
* ``hosts.longest_hold_ms``: the longest hold of the master's reactor while 60 workers are started
  at once. Beside it that of as many ordinary workers, started by hand: what Buildbot does for each
  worker that attaches is in both.
* ``hosts.leftovers_after_kill``: how many processes are left on the hosts after a master was killed
  in each phase of its work; ``scripts/kill_on_hosts.py`` finds out.

The hosts are those of ``scripts/with_ssh_hosts.sh``; without them there are no rows.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench_configuration import ConfigurationInMemory
from bench_results import Measured, counted, measured, percentile
from buildbot.config import BuilderConfig
from buildbot.master import BuildMaster
from buildbot.plugins import util
from buildbot.worker import Worker
from reactor_holds import longest_hold_ms
from twisted.internet import reactor
from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python import log

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # for what tests share

from buildbot_drydock import buildbot_hooks as hooks  # noqa: E402
from buildbot_drydock.config import Drydock  # noqa: E402
from buildbot_drydock.latent.hosts import SSH, Host, HostPool  # noqa: E402
from buildbot_drydock.latent.process import Login, tactics  # noqa: E402
from buildbot_drydock.latent.tenancy import PYTHON  # noqa: E402
from buildbot_drydock.latent.worker import DrydockWorker  # noqa: E402
from buildbot_drydock.model import LeaseStatus, Resource, ResourceStatus  # noqa: E402
from buildbot_drydock.service import DrydockService  # noqa: E402
from buildbot_drydock.workerpool import WorkerPool  # noqa: E402
from tests.integration.wheels import installed_wheels  # noqa: E402
from tests.ssh_hosts import Machine, machines  # noqa: E402

KILLS = ROOT / "scripts" / "kill_on_hosts.py"
KILLED = ROOT / "build" / "kill_on_hosts.json"
VARIABLE = "DRYDOCK_TEST_SSH_HOSTS"
SLOTS = 20
ROUNDS = 7  # on each host; the first one warms up
POLL_SECONDS = 0.02
PATIENCE_SECONDS = 300.0
PASSWORD = "by-hand"
WHEELS = "/tmp/wheels"  # on each machine
# They are made of what is installed here, so they are for this version.
PYTHON_THERE = "python{}.{}".format(*sys.version_info)


class ByHand(Worker):
    """An ordinary worker that tells when it is attached."""

    def __init__(self, name: str, *arguments: Any, **others: Any) -> None:
        self.waiting: Deferred[float] | None = None
        super().__init__(name, *arguments, **others)

    def attached(self, conn: Any) -> Deferred[None]:
        attached: Deferred[None] = super().attached(conn)
        return attached.addCallback(self._note)

    def _note(self, result: Any) -> Any:
        if self.waiting is not None:
            waiting, self.waiting = self.waiting, None
            waiting.callback(time.time())
        return result


class WholeMaster:
    """A master with one pool of listed hosts, each of which has workers for all of its slots."""

    def __init__(self, listed: list[Machine], directory: str) -> None:
        self.machines = listed
        self._directory = directory
        self.master = BuildMaster(
            directory, reactor=reactor, config_loader=ConfigurationInMemory(self._configuration())
        )
        self.resources: dict[str, Resource] = {}  # by the name of the host

    def _configuration(self) -> dict[str, Any]:
        first = self.machines[0]
        drydock = Drydock(
            blueprints=[
                HostPool(
                    "lab",
                    hosts=[
                        Host(each.name, address=each.address, user=each.user, slots=SLOTS)
                        for each in self.machines
                    ],
                    ssh=SSH(keys=[first.identity_file], agent=False, known_hosts=first.known_hosts),
                    python=PYTHON_THERE,
                    make_venv="always",
                    pip_arguments=["--no-index", "--find-links", WHEELS],
                    min_free_disk=0,
                )
            ],
            workers=[
                WorkerPool(
                    each.name,
                    size=SLOTS,
                    requires={"host": each.name},
                    masterFQDN=each.gateway,
                    keep_on_shutdown=False,
                )
                for each in self.machines
            ],
        )
        names = [name for each in self.machines for name in drydock.workernames(each.name)]
        by_hand = [ByHand(f"by-hand-{number}", PASSWORD) for number in range(len(names))]
        configuration: dict[str, Any] = {
            "configurators": [],
            "workers": by_hand,
            "db_url": self._url,
            "protocols": {"pb": {"port": f"tcp:0:interface={first.gateway}"}},
            "buildbotNetUsageData": None,
            "multiMaster": True,  # so that builders need no schedulers
            "builders": [
                BuilderConfig(name=builder, workernames=workers, factory=util.BuildFactory())
                for builder, workers in {
                    "leased": names,
                    "by-hand": [each.workername for each in by_hand],
                }.items()
            ],
        }
        drydock.configure(configuration)
        return configuration

    @property
    def _url(self) -> str:
        return f"sqlite:///{self._directory}/state.sqlite"

    @property
    def service(self) -> DrydockService:
        service: DrydockService = self.master.service_manager.namedServices["drydock"]
        return service

    async def start(self) -> None:
        self.master.config.db.db_url = self._url
        await self.master.db.setup(check_version=False)
        await self.master.db.model.upgrade()
        self.master.db.setup = lambda: None
        await self.master.startService()
        await until(self._are_warm, "the hosts to be in use")

    async def stop(self) -> None:
        await self.master.stopService()
        await self.master.db.pool.stop()

    async def _are_warm(self) -> bool:
        rows = await self.service.store.rows()
        self.resources = {
            each.host or "": each
            for each in rows.resources
            if each.status is ResourceStatus.ACTIVE and each.data.get(PYTHON)
        }
        return len(self.resources) == len(self.machines)

    async def are_vacant(self) -> bool:
        """Tell whether nothing is leased, and nothing is left to be cleaned up."""
        rows = await self.service.store.rows()
        return all(lease.status is LeaseStatus.DESTROYED for lease in rows.leases)

    # --- workers of Drydock ------------------------------------------------------------------

    def worker(self, machine: Machine, number: int = 1) -> DrydockWorker:
        worker: DrydockWorker = self.master.workers.workers[f"{machine.name}-{number:03d}"]
        return worker

    async def start_leased(self, machine: Machine) -> float:
        """Start one worker; return the seconds until it was attached."""
        worker = self.worker(machine)
        began = time.time()
        await worker.substantiate(None, None)
        seconds = time.time() - began
        await self.end_leased([worker])
        return seconds

    async def start_all_leased(self) -> None:
        await together([each.substantiate(None, None) for each in self.all_leased()])

    def all_leased(self) -> list[DrydockWorker]:
        return [
            self.worker(machine, number)
            for number in range(1, SLOTS + 1)
            for machine in self.machines
        ]

    async def end_leased(self, workers: list[DrydockWorker]) -> None:
        await together([hooks.stop_when_idle(each) for each in workers])
        await until(self.are_vacant, "the leases to end")

    # --- workers by hand ---------------------------------------------------------------------

    def by_hand(self, number: int = 0) -> ByHand:
        worker: ByHand = self.master.workers.workers[f"by-hand-{number}"]
        return worker

    def prepare_by_hand(self, machine: Machine, number: int) -> str:
        """Write what a worker needs; return the command that starts it there."""
        worker = self.by_hand(number)
        name = worker.workername
        login = Login(
            name=name,
            password=PASSWORD,
            address=machine.gateway,
            port=hooks.login_port(worker),
        )
        directory = machine.path(f"{machine.home}/{name}")
        directory.mkdir(exist_ok=True)
        (directory / "buildbot.tac").write_bytes(tactics(login, lease=0))
        shutil.chown(directory, machine.user)
        shutil.chown(directory / "buildbot.tac", machine.user)
        python = self.resources[machine.name].data[PYTHON]
        twistd = shlex.quote(str(Path(python).with_name("twistd")))
        return (
            f"cd {name} && date +%s.%N && "
            f"exec {twistd} --pidfile= -ny buildbot.tac > twistd.log 2>&1 < /dev/null"
        )

    async def start_by_hand(self, machine: Machine) -> float:
        """Start one worker; return the seconds from its process's start until it was attached."""
        worker = self.by_hand()
        worker.waiting = attached = Deferred()
        command = self.prepare_by_hand(machine, 0)
        running = getProcessOutputAndValue("ssh", ssh(machine, command), os.environ)
        attached_at = await attached
        await worker.conn.remoteShutdown()
        output, complaints, code = await running
        if not output:
            raise SystemExit(f"a worker by hand ended with {code}: {complaints.decode()}")
        return attached_at - float(output)

    async def start_all_by_hand(self) -> None:
        """Start as many workers as there are slots, with one command for each host."""
        attached = []
        commands: dict[str, list[str]] = {each.name: [] for each in self.machines}
        for number in range(SLOTS * len(self.machines)):
            machine = self.machines[number % len(self.machines)]
            worker = self.by_hand(number)
            worker.waiting = waiting = Deferred()
            attached.append(waiting)
            commands[machine.name].append(self.prepare_by_hand(machine, number))
        self._left = [
            getProcessOutputAndValue(
                "ssh",
                ssh(each, "".join(f"({line}) &\n" for line in commands[each.name]) + "wait"),
                os.environ,
            )
            for each in self.machines
        ]
        self._attached = attached

    async def all_by_hand_attached(self) -> None:
        await together(self._attached)

    async def end_all_by_hand(self) -> None:
        for number in range(SLOTS * len(self.machines)):
            await self.by_hand(number).conn.remoteShutdown()
        await together(self._left)


def ssh(machine: Machine, command: str) -> list[str]:
    """Return the arguments of ``ssh`` that run a command there."""
    options = {
        "BatchMode": "yes",
        "IdentityFile": machine.identity_file,
        "UserKnownHostsFile": machine.known_hosts,
        "LogLevel": "ERROR",
    }
    given = [each for name, value in options.items() for each in ("-o", f"{name}={value}")]
    return ["-F", "none", *given, f"{machine.user}@{machine.address}", command]


async def plain_ssh(machine: Machine) -> float:
    """Return the seconds that ``ssh HOST true`` takes."""
    began = time.time()
    _, complaints, code = await getProcessOutputAndValue("ssh", ssh(machine, "true"), os.environ)
    if code:
        raise SystemExit(f"ssh {machine.address} true ended with {code}: {complaints.decode()}")
    return time.time() - began


async def together(waiting: list[Deferred[Any]]) -> None:
    """Wait for all; the first that fails says why."""
    limited = gatherResults(waiting, consumeErrors=True)
    limited.addTimeout(PATIENCE_SECONDS, reactor)  # type: ignore[arg-type]
    try:
        await limited
    except FirstError as error:
        error.subFailure.raiseException()


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.time() + PATIENCE_SECONDS
    while not await condition():
        if time.time() > deadline:
            raise SystemExit(f"waited {PATIENCE_SECONDS:.0f} s in vain for {what}")
        await deferLater(reactor, POLL_SECONDS)  # type: ignore[arg-type]


def put_wheels(listed: list[Machine]) -> None:
    """Give each machine what its environment is made of: it reaches no package index."""
    for each in listed:
        wheels = each.path(WHEELS)
        wheels.mkdir(exist_ok=True)
        if each is listed[0]:
            installed_wheels(wheels, "buildbot-worker")
        else:
            shutil.copytree(listed[0].path(WHEELS), wheels, dirs_exist_ok=True)


@asynccontextmanager
async def open_master(directory: str) -> AsyncIterator[WholeMaster]:
    listed = machines()
    await deferToThread(put_wheels, listed)
    basedir = Path(directory, "hosts")
    basedir.mkdir()
    terminated = signal.getsignal(signal.SIGTERM)  # a master that starts takes it
    with (basedir / "twistd.log").open("w") as log_file:
        observer = log.FileLogObserver(log_file)
        observer.start()
        whole = WholeMaster(listed, str(basedir))
        try:
            await whole.start()
            yield whole
        finally:
            await whole.stop()
            observer.stop()
            signal.signal(signal.SIGTERM, terminated)


async def starts(whole: WholeMaster) -> list[Measured]:
    leased, plain = [], []
    for number in range(ROUNDS):
        for machine in whole.machines:
            by_hand = await plain_ssh(machine) + await whole.start_by_hand(machine)
            seconds = await whole.start_leased(machine)
            if number:
                plain.append(by_hand)
                leased.append(seconds)
    ratio = statistics.median(leased) / statistics.median(plain)
    return [
        measured("hosts.start_ratio", ratio, "leased to by hand", "<= 1.3"),
        measured("hosts.start_ms_p50", percentile(leased, 50) * 1000, "ms"),
        measured("hosts.plain_ms_p50", percentile(plain, 50) * 1000, "ms"),
    ]


async def holds(whole: WholeMaster) -> list[Measured]:
    await whole.start_all_by_hand()
    alone = await longest_hold_ms(reactor, whole.all_by_hand_attached)
    await whole.end_all_by_hand()
    longest = await longest_hold_ms(reactor, whole.start_all_leased)
    await whole.end_leased(whole.all_leased())
    return [
        measured("hosts.longest_hold_ms", longest, "ms", "<= 20"),
        measured("hosts.longest_hold_without_drydock_ms", alone, "ms"),
    ]


async def kills() -> list[Measured]:
    """Kill masters, if that can be done here."""
    if not KILLS.exists():
        return []
    KILLED.unlink(missing_ok=True)
    output, complaints, code = await getProcessOutputAndValue(
        sys.executable, [str(KILLS)], os.environ
    )
    if not KILLED.exists():
        print((output + complaints).decode(), file=sys.stderr)
        raise SystemExit(f"{KILLS.name} ended with {code}, and wrote no {KILLED}")
    leftovers = json.loads(KILLED.read_text())["leftovers"]
    number = leftovers if isinstance(leftovers, int) else len(leftovers)
    return [counted("hosts.leftovers_after_kill", number, "processes", "<= 0")]


async def hosts(directory: str) -> list[Measured]:
    if not os.environ.get(VARIABLE):
        print("hosts: left out: as root on Debian, run it with scripts/with_ssh_hosts.sh")
        return []
    async with open_master(directory) as whole:
        rows = [*await starts(whole), *await holds(whole)]
    return [*rows, *await kills()]
