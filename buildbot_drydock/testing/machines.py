"""Listed machines that exist only in memory, for tests of what keeps them.

A ``Machine`` outlives the connections to it, has files and processes, and answers the scripts of
``latent.premises``. It is cut off, restarted, held up or broken by its attributes and methods.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred

from buildbot_drydock.errors import HostError, HostUnreachable
from buildbot_drydock.interfaces import Clock, Completed
from buildbot_drydock.latent import premises
from buildbot_drydock.remote.processes import TAG_MARK

PLENTY = 100_000_000_000


@dataclass
class MachineProcess:
    argv: tuple[str, ...]
    marks: dict[str, str]


@dataclass
class Machine:
    """What there is on one machine, and how it misbehaves."""

    clock: Clock
    boot: str = "boot-1"
    free_bytes: int = PLENTY
    clock_ahead: float = 0.0
    # Raised whenever somebody connects, or does anything on it.
    connect_error: HostError | None = None
    error: HostError | None = None
    # What is done on it waits for this, if it is set: all, or what begins with `held`.
    hold: Deferred[None] | None = None
    held: str = ""
    unkillable: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    processes: list[MachineProcess] = field(default_factory=list)
    links: list[MachineLink] = field(default_factory=list)
    opened: int = 0  # how often a connection was made
    done: list[str] = field(default_factory=list)  # the scripts and commands that ran
    ports: set[int] = field(default_factory=set)  # that tunnels have taken

    def marker(self, directory: str = "drydock") -> premises.Marker | None:
        content = self.files.get(f"{directory}/{premises.MARKER}")
        if content is None:
            return None
        told = json.loads(content)
        told.pop("note", None)
        return premises.Marker(**told)

    def cut(self, error: HostError | None = None) -> None:
        """Lose all connections."""
        lost = error or HostUnreachable("no sign of life", phase="connected")
        for link in self.links:
            link.lose(lost)

    def go_silent(self) -> None:
        """Lose all connections, and answer no more."""
        self.connect_error = HostUnreachable("it does not answer", phase="connecting")
        self.cut()

    def come_back(self) -> None:
        self.connect_error = None

    def restart(self) -> None:
        """End all processes and lose all connections; answer at once."""
        self.boot += "+"
        self.processes.clear()
        self.cut()

    def tags(self) -> set[str]:
        return {each.marks[TAG_MARK] for each in self.processes if TAG_MARK in each.marks}

    def end(self, mark: str, value: str) -> None:
        if self.unkillable and any(each.marks.get(mark) == value for each in self.processes):
            raise HostError("processes 17 are still there; look for what they wait for")
        self.processes = [each for each in self.processes if each.marks.get(mark) != value]

    def let_go(self) -> None:
        """Hold up nothing any more."""
        hold, self.hold = self.hold, None
        if hold is not None:
            hold.callback(None)

    async def turn(self, what: str) -> None:
        """Let something happen on the machine, or not."""
        if self.hold is not None and what.startswith(self.held):
            waiting: Deferred[None] = Deferred()
            self.hold.addBoth(lambda _: None if waiting.called else waiting.callback(None))
            await waiting
        if self.error is not None:
            raise self.error
        self.done.append(what)


class MachineLink:
    """A ``Link`` to a machine."""

    def __init__(self, machine: Machine, lost: Callable[[HostError], None]) -> None:
        self.machine = machine
        self._lost = lost
        self.is_open = False
        machine.links.append(self)

    async def open(self) -> None:
        if self.is_open:
            return
        await self.machine.turn("connect")
        if self.machine.connect_error is not None:
            raise self.machine.connect_error
        self.machine.opened += 1
        self.is_open = True

    def lose(self, error: HostError) -> None:
        if self.is_open:
            self.is_open = False
            self._lost(error)

    def host(self, directory: str, marks: Mapping[str, str]) -> MachineHost:
        return MachineHost(self, directory, marks)

    async def end(self, mark: str, value: str) -> None:
        await self.turn(f"end {mark}={value}")
        self.machine.end(mark, value)

    async def tunnel(self, port: int) -> int:
        await self.turn(f"tunnel {port}")
        given = port or 40_000 + len(self.machine.ports)
        self.machine.ports.add(given)
        return given

    async def close(self) -> None:
        self.is_open = False

    async def turn(self, what: str) -> None:
        """Raises ``HostUnreachable`` if the connection is not open, before or after."""
        self._require()
        await self.machine.turn(what)
        self._require()

    def _require(self) -> None:
        if not self.is_open:
            raise HostUnreachable("the connection is lost", phase="connected")


class MachineHost:
    """A directory of a machine as a ``Host``."""

    def __init__(self, link: MachineLink, directory: str, marks: Mapping[str, str]) -> None:
        self._link = link
        self._directory = directory
        self._marks = dict(marks)

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        idle_timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        stdin: bytes = b"",
    ) -> Completed:
        script = _SCRIPTS.get(argv[2]) if argv[:2] == ["sh", "-c"] else None
        await self._link.turn(script.__name__.strip("_") if script else " ".join(argv))
        output = script(self._link.machine, list(argv[4:]), stdin) if script else ""
        return Completed(exit_code=0, stdout=output.encode(), stderr=b"")

    async def start(
        self,
        argv: Sequence[str],
        *,
        tag: str,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        log: str | None = None,
        file: tuple[str, bytes] | None = None,
    ) -> None:
        await self._link.turn(f"start {tag}")
        if tag not in self._link.machine.tags():
            if file is not None:
                self._link.machine.files[self._path(file[0])] = file[1]
            marks = {**self._marks, TAG_MARK: tag}
            self._link.machine.processes.append(MachineProcess(tuple(argv), marks))

    async def running(self, tag: str) -> bool:
        await self._link.turn(f"running {tag}")
        return tag in self._link.machine.tags()

    async def stop(self, tag: str) -> None:
        await self._link.end(TAG_MARK, tag)

    async def read(self, path: str) -> bytes:
        await self._link.turn(f"read {path}")
        try:
            return self._link.machine.files[self._path(path)]
        except KeyError:
            raise HostError(f"there is no file {path}") from None

    async def write(self, path: str, content: bytes, *, mode: int = 0o600) -> None:
        await self._link.turn(f"write {path}")
        self._link.machine.files[self._path(path)] = content

    async def exists(self, path: str) -> bool:
        await self._link.turn(f"exists {path}")
        return bool(_under(self._link.machine, self._path(path)))

    async def remove(self, path: str) -> None:
        await self._link.turn(f"remove {path}")
        for each in _under(self._link.machine, self._path(path)):
            del self._link.machine.files[each]

    def _path(self, path: str) -> str:
        return f"{self._directory}/{path}" if self._directory else path


def _under(machine: Machine, path: str) -> list[str]:
    return [each for each in machine.files if each == path or each.startswith(f"{path}/")]


def _look(machine: Machine, arguments: list[str], stdin: bytes) -> str:
    marker = machine.files.get(f"{arguments[0]}/{premises.MARKER}", b"").decode()
    return (
        f"directory=/home/ci/{arguments[0]}\n"
        f"time={machine.clock.seconds() + machine.clock_ahead:.0f}\n"
        f"system=Linux x86_64\nboot={machine.boot}\nfree={machine.free_bytes // 1024}\n"
        f"marker={marker}\n"
    )


def _claim(machine: Machine, arguments: list[str], stdin: bytes) -> str:
    present = machine.marker(arguments[0])
    if present is not None and present.token != arguments[1]:
        return "claim=refused\n"
    machine.files[f"{arguments[0]}/{premises.MARKER}"] = stdin
    return "claim=taken\n"


def _unclaim(machine: Machine, arguments: list[str], stdin: bytes) -> str:
    present = machine.marker(arguments[0])
    if present is not None and present.token == arguments[1]:
        del machine.files[f"{arguments[0]}/{premises.MARKER}"]
    return ""


def _wipe(machine: Machine, arguments: list[str], stdin: bytes) -> str:
    directory, slot = arguments
    homes = [path.rpartition("/")[0] for path in machine.files if path.endswith("/buildbot.tac")]
    for home in homes:
        if home.rpartition("/")[0] == directory and (slot == "*" or home.endswith(f"-{slot}")):
            for each in _under(machine, home):
                del machine.files[each]
    return ""


def _owners(machine: Machine, arguments: list[str], stdin: bytes) -> str:
    marks = [each.marks.get(premises.OWNER_MARK) for each in machine.processes]
    return "".join(f"{premises.OWNER_MARK}={each}\n" for each in marks if each)


_SCRIPTS: Mapping[str, Callable[[Machine, list[str], bytes], str]] = {
    premises.LOOK: _look,
    premises.CLAIM: _claim,
    premises.UNCLAIM: _unclaim,
    premises.WIPE: _wipe,
    premises.OWNERS: _owners,
}
