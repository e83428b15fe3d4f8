"""A real master process, and the machines of ``scripts/with_ssh_hosts.sh`` as its pool ``lab``.

Everything here blocks: the master is a process of its own, asked over REST and SQL, and killed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from threading import Event
from typing import Any, Final, TypeVar
from urllib.error import URLError

import psutil

from buildbot_drydock.events import restore
from tests.ssh_hosts import Machine

ROOT: Final = Path(__file__).resolve().parents[1]
SCRIPTS: Final = ROOT / "scripts"
sys.path.append(str(SCRIPTS))

from demo_master import Master  # noqa: E402 - it lies among the scripts, which are no package

T = TypeVar("T")

LIVING: Final = "('pending', 'acquired', 'active', 'released', 'broken')"
# As everywhere here, far more than anything takes: what takes longer does not come any more.
PATIENCE: Final = 180.0
_POLL_SECONDS: Final = 0.1
_PYTHON: Final = "/usr/bin/python3"  # one that any user may run
_WORKER: Final = f"buildbot-worker=={metadata.version('buildbot')}"
_PIP: Final = "bin/pip"
_WHEELS: Final = "/tmp/wheels"  # on the machines
_ENDED: Final = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


class Lab:
    """A master in *directory*. *settings* go to ``tests/lab.cfg``, group by group."""

    config = ROOT / "tests" / "lab.cfg"

    def __init__(
        self,
        directory: Path,
        machines: Iterable[Machine],
        *,
        entries: Mapping[str, Mapping[str, Any]] | None = None,
        **settings: Any,
    ) -> None:
        """The machines are called ``build1``, ``build2`` and so on; *entries* changes theirs."""
        self.machines = {f"build{n}": machine for n, machine in enumerate(machines, 1)}
        first = next(iter(self.machines.values()))
        self.ports = Ports(first.gateway)
        self.begin(directory, self._usual_settings(first, entries or {}), settings)

    def begin(self, directory: Path, usual: dict[str, Any], settings: dict[str, Any]) -> None:
        """Prepare the master."""
        self.directory = directory
        self.settings = usual
        for group, values in settings.items():
            both = isinstance(values, dict)
            self.settings[group] = {**self.settings[group], **values} if both else values
        self.master = _Master(directory, self.config, self.ports.url)
        self._pause = Event()
        self._orders = 0
        self._requests = 0

    def _usual_settings(
        self, first: Machine, entries: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Any]:
        return {
            "hosts": [
                {"name": name, "address": m.address, "user": m.user, **entries.get(name, {})}
                for name, m in self.machines.items()
            ],
            "ssh": {
                "keys": [first.identity_file],
                "agent": False,
                "known_hosts": first.known_hosts,
                "keepalive_interval": 0.5,
                "keepalive_count": 2,
                "connect_timeout": 5.0,
            },
            "pool": {
                "python": _PYTHON,
                "pip_arguments": ["--isolated", "--no-index", "--find-links", _WHEELS],
                "min_free_disk": 0,
                "stop_grace": 2.0,
                "lost_after": 8.0,
                "probe_interval": 2.0,
                "poll_interval": 0.2,
                "sweep_interval": 1.0,
            },
            "workers": {
                "size": 4,
                "build_wait_timeout": 1,
                "login_timeout": 60,
                "reconnect_timeout": 20,
                "stop_timeout": 10,
                "max_start_attempts": 20,
                "masterFQDN": first.gateway,
            },
            "drydock": {"lease_seconds": 20, "renew_interval": 2},
            "proof_seconds": 0.1,
            "longest_wait": 5.0,
            "worker_port": f"tcp:{self.ports.workers}:interface={first.gateway}",
            "web_port": f"tcp:{self.ports.web}:interface=127.0.0.1",
            "url": self.ports.url,
        }

    # --- the master --------------------------------------------------------------------------

    def start(self) -> None:
        """Start the master, for the first time or once more, and wait until it answers."""
        for machine in self.machines.values():
            provide_wheels(machine)
        self.master.create()
        (self.directory / "settings.json").write_text(json.dumps(self.settings))
        self.master.start()
        self.master.wait_until_up()
        self.until(self._has_tables, "the tables of Drydock")

    def _has_tables(self) -> bool:
        return bool(self.query("SELECT 1 FROM sqlite_master WHERE name = 'drydock_leases'"))

    def kill(self) -> None:
        self.master.kill()

    def end(self) -> None:
        """Stop the master, if it runs, and all that it left on the machines."""
        if self.master.process is not None:
            self.master.kill()
        for machine in self.machines.values():
            for process in there(machine):
                with suppress(psutil.Error):
                    process.kill()
            directory = self.settings["pool"].get("directory", "drydock")
            machine.path(f"{machine.home}/{directory}/owner.json").unlink(missing_ok=True)

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self.master.query(statement, *values)

    def order(self, method: str, **arguments: Any) -> None:
        """Have the running master's ``Maintenance`` do something; return when that is done."""
        self._orders += 1
        path = self.directory / f"{self._orders:03d}.order"
        path.with_suffix(".new").write_text(json.dumps([method, arguments]))
        path.with_suffix(".new").rename(path)
        self.until(path.with_suffix(".done").exists, f"{method} to be carried out")

    def until(self, condition: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
        """Return what *condition* returns once that is true."""
        return self.master.wait_for(condition, seconds, what)

    # --- builds ------------------------------------------------------------------------------

    def request(self, host: str = "", command: str = "id -un") -> Request:
        """Ask for a build, on any host or a certain one."""
        self._requests += 1

        def asked() -> int:
            try:
                return self.master.force(host=host, command=command)
            except (URLError, OSError):
                return 0  # the schedulers of a master that has just started are not ready yet

        return Request(self, self.until(asked, "a build to be requested"))

    def request_held(self, host: str = "") -> HeldRequest:
        """Ask for a build that goes on until it is let go."""
        name = f"{self.directory.name}-{self._requests}"
        command = (
            f"echo $$ >> /tmp/begun-{name}; until [ -e /tmp/go-{name} ]; do sleep 0.1; done; id -un"
        )
        request = self.request(host, command)
        return HeldRequest(self, request.id, name)

    def builds_on(self, host: str) -> None:
        """See a new build succeed on this very host."""
        request = self.request(host)
        build = request.finished()
        machine = self.machines[host]
        if build.results != 0 or machine.user not in build.output:
            raise AssertionError(f"a build on {host} ended so: {build}")

    # --- what Drydock tells ------------------------------------------------------------------

    def moment(self) -> int:
        """Return the number of the last event, for ``events`` since then."""
        ((number,),) = self.query("SELECT MAX(id) FROM drydock_events")
        return number or 0

    def events(self, kind: str, since: int, *, host: str = "", lease: int = 0) -> list[str]:
        """Return the sentences of the events of a kind about a host or a lease, oldest first."""
        rows = self.query(
            "SELECT kind, actor, data FROM drydock_events WHERE kind = ? AND id > ?"
            " AND (? = 0 OR lease = ?) ORDER BY id",
            kind,
            since,
            lease,
            lease,
        )
        found = [restore(kind, actor, json.loads(data)) for kind, actor, data in rows]
        return [each.sentence() for each in found if not host or getattr(each, "host", "") == host]

    def told(self, kind: str, since: int, *, host: str = "", lease: int = 0) -> str:
        """Return the sentence of the first such event, once there is one."""
        about = host or f"lease {lease}"
        return self.until(
            lambda: self.events(kind, since, host=host, lease=lease),
            f"an event {kind} about {about}",
        )[0]

    def is_back(self, host: str) -> bool:
        """Tell whether the last that was told of a host is not that it was lost."""
        rows = self.query(
            "SELECT kind, data FROM drydock_events WHERE kind IN ('host-lost', 'host-returned')"
            " ORDER BY id"
        )
        kinds = [kind for kind, data in rows if json.loads(data)["host"] == host]
        return kinds[-1:] != ["host-lost"]

    def lease(self, number: int) -> Lease:
        (row,) = self.query(
            "SELECT leases.id, leases.status, leases.reason, leases.slot, resources.host,"
            " resources.id FROM drydock_leases AS leases LEFT JOIN drydock_resources AS resources"
            " ON leases.resource = resources.id WHERE leases.id = ?",
            number,
        )
        return Lease(*row)

    def living_tags(self) -> set[str]:
        rows = self.query(f"SELECT id, nonce FROM drydock_leases WHERE status IN {LIVING}")
        return {f"drydock-lease-{number}-{nonce[:12]}" for number, nonce in rows}

    def leftovers(self) -> list[str]:
        """Return the command lines on all machines that no living lease accounts for."""
        found = [each for machine in self.machines.values() for each in _commands(machine)]
        living = self.living_tags()
        return [command for tag, command in found if tag not in living]


class Lease:
    """A lease's row."""

    def __init__(
        self, number: int, status: str, reason: str, slot: int | None, host: str, resource: int
    ) -> None:
        self.number = number
        self.status = status
        self.reason = reason
        self.slot = slot
        self.host = host
        self.resource = resource

    def __repr__(self) -> str:
        return f"lease {self.number} on {self.host}, {self.status}: {self.reason}"


class Build:
    """A build that has ended."""

    def __init__(self, results: int, output: str, worker: str) -> None:
        self.results = results
        self.output = output
        self.worker = worker

    def __repr__(self) -> str:
        return f"results {self.results}, by {self.worker}: {self.output}"


class Request:
    """A request for a build, and the builds that are made of it: more than one, if retried."""

    def __init__(self, lab: Lab, number: int) -> None:
        self.lab = lab
        self.id = number

    def builds(self) -> list[tuple[int, int | None, str]]:
        """Return identifier, results and worker's name of each, oldest first."""
        return [
            (number, results, worker)
            for number, results, worker in self.lab.query(
                "SELECT builds.id, builds.results, workers.name FROM builds LEFT JOIN workers"
                " ON builds.workerid = workers.id WHERE buildrequestid = ? ORDER BY builds.id",
                self.id,
            )
        ]

    def results(self) -> list[int | None]:
        return [results for _, results, _ in self.builds()]

    def finished(self) -> Build:
        """Return the last build, once the request is complete."""

        def complete() -> bool:
            (row,) = self.lab.query("SELECT complete FROM buildrequests WHERE id = ?", self.id)
            return bool(row[0])

        self.lab.until(complete, f"build request {self.id} to be complete")
        number, results, worker = self.builds()[-1]
        assert results is not None
        return Build(results, self._output(number), worker)

    def _output(self, build: int) -> str:
        texts = []
        for step in self.lab.master.rows(f"builds/{build}/steps"):
            for log in self.lab.master.rows(f"steps/{step['stepid']}/logs"):
                (content,) = self.lab.master.rows(f"logs/{log['logid']}/contents")
                texts.append(content["content"])
        return "\n".join(texts)


class HeldRequest(Request):
    """A request for a build that goes on until ``let_go``."""

    def __init__(self, lab: Lab, number: int, name: str) -> None:
        super().__init__(lab, number)
        self._name = name

    def running(self, times: int = 1) -> Lease:
        """Return the lease that the build runs on, once its command has begun so many times."""

        def begun() -> bool:
            return sum(map(self._begun, self.lab.machines.values())) >= times

        self.lab.until(begun, f"the command of build request {self.id} to run")
        worker = self.builds()[-1][2]
        (row,) = self.lab.query(
            "SELECT id FROM drydock_leases WHERE owner LIKE ? AND status = 'active'",
            f"%worker/{worker}",
        )
        return self.lab.lease(row[0])

    def _begun(self, machine: Machine) -> int:
        path = machine.path(f"/tmp/begun-{self._name}")
        return path.read_text().count("\n") if path.exists() else 0

    def let_go(self) -> None:
        """Let the build come to its end, wherever it runs or will."""
        for machine in self.lab.machines.values():
            path = machine.path(f"/tmp/go-{self._name}")
            path.touch()
            path.chmod(0o644)


class _Master(Master):
    def wait_for(self, condition: Callable[[], T], seconds: float, what: str) -> T:
        try:
            return super().wait_for(condition, seconds, what)
        except SystemExit as error:
            log = self.directory / "twistd.log"
            text = log.read_text(errors="replace") if log.exists() else self.log.read_text()
            tail = text.splitlines()[-80:]
            raise AssertionError("\n".join([str(error), *tail])) from None


class Ports:
    """Ports that were free a moment ago; a master that is killed and restarted keeps them."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.workers = _free_port(address)
        self.web = _free_port("127.0.0.1")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.web}/"


def _free_port(address: str) -> int:
    with socket.create_server((address, 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


# --- the machines ------------------------------------------------------------------------------


def there(machine: Machine) -> list[psutil.Process]:
    """Return what the machine's user runs, but for the SSH server's part."""
    found = []
    for process in machine.processes():
        with suppress(psutil.Error):
            if process.name() != "sshd" and process.status() not in _ENDED:
                found.append(process)
    return found


def _commands(machine: Machine) -> list[tuple[str, str]]:
    """Return mark and command line of what runs there."""
    found = []
    for process in there(machine):
        with suppress(psutil.Error):
            tag = process.environ().get("DRYDOCK_TAG", "")
            found.append((tag, f"{machine.name}: {' '.join(process.cmdline())[:200]}"))
    return found


def everything(machine: Machine) -> list[psutil.Process]:
    """Return all processes of a machine, but for its first."""
    (init,) = psutil.Process(int(Path(machine.init).read_text())).children()
    namespace = os.readlink(f"/proc/{init.pid}/ns/pid")
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != init.pid and os.readlink(f"/proc/{process.pid}/ns/pid") == namespace:
                found.append(process)
    return found


def freeze(machine: Machine) -> None:
    """Let nothing of the machine run, as if it were suspended."""
    for process in everything(machine):
        with suppress(psutil.Error):
            process.send_signal(signal.SIGSTOP)


def thaw(machine: Machine) -> None:
    for process in everything(machine):
        with suppress(psutil.Error):
            process.send_signal(signal.SIGCONT)


def provide_wheels(machine: Machine) -> None:
    """Lay what pip needs to install buildbot-worker where it finds it without any index."""
    place = machine.path(_WHEELS)
    if not place.exists():
        shutil.copytree(_wheels(), place)


def _wheels() -> Path:
    """Return a directory of wheels for the machines' Python; it is filled once."""

    def fill(directory: Path) -> Path:
        _run(str(directory / _PIP), "wheel", "-w", str(directory / "wheels"), _WORKER)
        return directory / "wheels"

    return _filled_once("wheels", fill)


def worker_environment() -> Path:
    """Return an environment with buildbot-worker for the machines' Python; it is made once.

    A copy of it works anywhere, but for its scripts.
    """
    wheels = _wheels()

    def fill(directory: Path) -> Path:
        where = ["--no-index", "--find-links", str(wheels)]
        _run(str(directory / _PIP), "install", *where, _WORKER)
        return directory

    return _filled_once("environment", fill)


def _filled_once(name: str, fill: Callable[[Path], Path]) -> Path:
    """Return a directory; unless it is there, *fill* makes it of a new environment."""
    directory = ROOT / "build" / f"{name}-{_WORKER.replace('==', '-')}"
    if not directory.exists():
        making = directory.with_name(f"{directory.name}-{os.getpid()}")
        _run(_PYTHON, "-m", "venv", str(making))
        filled = fill(making)
        with suppress(OSError):  # another run was faster
            filled.rename(directory)
        shutil.rmtree(making, ignore_errors=True)
    return directory


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise AssertionError(
            f"{' '.join(argv)} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        )
