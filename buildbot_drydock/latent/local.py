"""Resources that are directories on the master's own machine, and processes in them.

A register beside them says which directories are ours and how far each has come, so that nothing
else that lies there is ever touched, and no build can make its own host disappear::

    ROOT/TOKEN/                 the resource
    ROOT/.drydock/TOKEN.json    its entry in the register
    ROOT/.drydock/TOKEN.gone/   the resource while its files are being removed
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final, TypeVar

import pydantic
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from buildbot_drydock.errors import (
    DrydockError,
    Misconfigured,
    NoCapacity,
    RequestRejected,
    RetryLater,
)
from buildbot_drydock.interfaces import Clock, HostSpec
from buildbot_drydock.latent.definition import CommonFields, Definition, Surroundings
from buildbot_drydock.latent.problems import unit
from buildbot_drydock.latent.process import LOG, TACTICS_FILE
from buildbot_drydock.model import Health, Lease, Observed, Resource
from buildbot_drydock.remote.local import LocalHost, remove_tree, write_atomically
from buildbot_drydock.remote.processes import RESOURCE_MARK, MarkedProcesses, mark_values

T = TypeVar("T")

_TOKEN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,199}")
_REGISTER: Final = ".drydock"
_ASIDE: Final = ".gone"
_MISCONFIGURED: Final = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR),
    *(errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP),
)
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class Progress(Enum):
    """How far a directory has come, as its entry in the register says."""

    MAKING = "making"
    READY = "ready"
    REMOVING = "removing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the register says about one resource."""

    progress: Progress
    created_at: float | None = None  # seconds since the epoch


class Directories:
    """The directories under one root, and their register. All methods block.

    Raises ``RequestRejected`` for a token that could lead out of the root.
    """

    def __init__(self, root: str) -> None:
        # Without links, as a process is told by the directory that it bears as its mark.
        self.root = Path(os.path.realpath(root))

    def path(self, token: str) -> Path:
        if not _TOKEN.fullmatch(token):
            raise RequestRejected(
                f"{token!r} can't be the name of a directory: "
                "a token has letters, digits, '_' and '-' only"
            )
        return self.root / token

    def listing(self) -> list[Observed]:
        """Return what is in the register, and what only its processes still tell of."""
        with _translated(f"list the directories in {self.root}"):
            tokens = self._registered()
            found = {token: self._observed(token, self.entry(token)) for token in tokens}
            for token in self._tokens_of_processes() - found.keys():
                found[token] = Observed(
                    token=token,
                    health=Health.FAILING,
                    address=str(self.path(token)),
                    reason="processes run, but the directory is not in the register any more",
                )
        return [found[token] for token in sorted(found)]

    def make(self, token: str, created_at: float) -> None:
        """Make a directory, or finish making it; nothing if it is made or being removed."""
        path = self.path(token)
        with _translated(f"make the directory {path}"):
            entry = self.entry(token)
            if entry is None:
                if os.path.lexists(path) and self.entry(token) is None:
                    raise Misconfigured(
                        f"{path} exists and was not made by Drydock; move it away, or give the "
                        "blueprint another directory"
                    )
                entry = Entry(progress=Progress.MAKING, created_at=created_at)
                self._register(token, entry)
            if entry.progress is Progress.MAKING:
                path.mkdir(mode=0o700, exist_ok=True)
                self._register(token, Entry(progress=Progress.READY, created_at=entry.created_at))

    def begin_removal(self, token: str) -> None:
        """Note that the directory is to go; nothing may be begun in it from now on."""
        entry = self.entry(token)
        if entry is None:
            return
        removing = Entry(progress=Progress.REMOVING, created_at=entry.created_at)
        with _translated(f"remove the directory {self.path(token)}"), _even_on_a_full_disk():
            self._register(token, removing)

    def move_aside(self, token: str) -> None:
        """Take the directory away, so that no process can be started in it."""
        path = self.path(token)
        with _translated(f"remove the directory {path}"):
            if self.entry(token) is not None and path.is_dir():
                remove_tree(self._aside(token))
                with suppress(FileNotFoundError):  # another removal was faster
                    path.rename(self._aside(token))

    def remove(self, token: str) -> None:
        """Remove what was moved aside, and the entry last."""
        with _translated(f"remove the directory {self.path(token)}"):
            remove_tree(self._aside(token))
            self._entry_path(token).unlink(missing_ok=True)

    def entry(self, token: str) -> Entry | None:
        """Return what the register says; one that can't be read is of something half made."""
        try:
            content = json.loads(self._entry_path(token).read_bytes())
            return Entry(progress=Progress(content["progress"]), created_at=content["created_at"])
        except FileNotFoundError:
            return None
        except OSError as error:
            raise disk_error(f"read the register of {self.root}", error) from error
        except (ValueError, KeyError, TypeError):
            return Entry(progress=Progress.MAKING)

    def _registered(self) -> list[str]:
        try:
            names = os.listdir(self.root / _REGISTER)
        except FileNotFoundError:
            return []  # nothing has been made yet
        stems = [name.removesuffix(".json") for name in names if name.endswith(".json")]
        return [stem for stem in stems if _TOKEN.fullmatch(stem)]

    def _tokens_of_processes(self) -> set[str]:
        directories = [Path(value) for value in mark_values(RESOURCE_MARK)]
        return {
            each.name
            for each in directories
            if each.parent == self.root and _TOKEN.fullmatch(each.name)
        }

    def _observed(self, token: str, entry: Entry | None) -> Observed:
        health, reason = Health.STARTING, "its directory is being made"
        if entry is not None and entry.progress is Progress.REMOVING:
            health, reason = Health.FAILING, "its directory is being removed"
        elif entry is not None and entry.progress is Progress.READY:
            health, reason = Health.READY, ""
            if not self.path(token).is_dir():
                health, reason = Health.FAILING, "its directory is gone"
        return Observed(
            token=token,
            health=health,
            created_at=None if entry is None else entry.created_at,
            address=str(self.path(token)),
            reason=reason,
        )

    def _register(self, token: str, entry: Entry) -> None:
        content = {"progress": entry.progress.value, "created_at": entry.created_at}
        write_atomically(self._entry_path(token), json.dumps(content).encode())

    def _entry_path(self, token: str) -> Path:
        self.path(token)
        return self.root / _REGISTER / f"{token}.json"

    def _aside(self, token: str) -> Path:
        return self.root / _REGISTER / f"{token}{_ASIDE}"


class LocalProvider:
    """Makes and removes the directories, and ends what runs in them.

    Leases share nothing but the machine: they are kept apart by their slots' directories.
    """

    def __init__(
        self,
        reactor: Any,  # IReactorProcess, IReactorTime and IReactorFromThreads
        threads: ThreadPool,
        root: str,
        *,
        clock: Clock,
        keep_build_directories: bool = True,
        grace_seconds: float = 5.0,
    ) -> None:
        self._reactor = reactor
        self._threads = threads
        self._directories = Directories(root)
        self._clock = clock
        self._keep_build_directories = keep_build_directories
        self._grace_seconds = grace_seconds
        self._processes = MarkedProcesses(reactor, threads, grace_seconds=grace_seconds)

    async def inventory(self) -> Sequence[Observed]:
        return await self._in_thread(self._directories.listing)

    async def create(self, token: str, spec: HostSpec) -> None:
        await self._in_thread(self._directories.make, token, self._clock.seconds())

    async def destroy(self, token: str, identity: str = "") -> None:
        """End all processes of a directory and remove it. There are no twins to be told apart."""
        path = self._directories.path(token)
        if identity:
            return
        await self._in_thread(self._directories.begin_removal, token)
        await self._processes.end(RESOURCE_MARK, str(path))
        await self._in_thread(self._directories.move_aside, token)
        # What was started between the last look and now.
        await self._processes.end(RESOURCE_MARK, str(path))
        await self._in_thread(self._directories.remove, token)

    def connect(self, resource: Resource) -> LocalHost:
        directory = str(self._directories.path(resource.token))
        return LocalHost(
            self._reactor,
            self._threads,
            directory,
            marks={RESOURCE_MARK: directory},
            grace_seconds=self._grace_seconds,
        )

    async def vacate(self, resource: Resource, lease: Lease) -> None:
        await self.connect(resource).stop(lease.tag)
        if not self._keep_build_directories and lease.slot is not None:
            home = self._directories.path(resource.token)
            await self._in_thread(_remove_worker_directories, home, lease.slot)

    async def _in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        return await deferToThreadPool(self._reactor, self._threads, function, *arguments)


class LocalProcessesFields(CommonFields):
    """The fields of ``LocalProcesses``."""

    directory: str = pydantic.Field(
        default="drydock",
        min_length=1,
        description="Where the resources are, each a directory, in a directory of the blueprint's "
        "name. Relative to the master's own directory. Masters that share a database share it.",
        json_schema_extra={"remedy": "give directory a path, such as '/var/lib/buildbot/drydock'"},
    )
    keep_build_directories: bool = pydantic.Field(
        default=True,
        description="Whether the next lease of a slot finds the build directories of the last.",
    )
    stop_grace: float = pydantic.Field(
        default=5.0,
        ge=0,
        description="How long processes may take to end when asked, before they are killed.",
        json_schema_extra=unit("seconds"),
    )


class LocalProcesses(Definition):
    """Resources on the master's machine: a directory each, and a worker process for each lease."""

    kind = "local"
    fields_class = LocalProcessesFields
    provider_class = LocalProvider

    def provider(self, surroundings: Surroundings) -> LocalProvider:
        fields = self.fields
        assert isinstance(fields, LocalProcessesFields)
        return LocalProvider(
            surroundings.reactor,
            surroundings.thread_pool,
            os.path.join(surroundings.basedir, fields.directory, self.name),
            clock=surroundings.reactor,
            keep_build_directories=fields.keep_build_directories,
            grace_seconds=fields.stop_grace,
        )


def _remove_worker_directories(home: Path, slot: int) -> None:
    """Remove all that workers on one slot had, whatever directory their pools give them.

    They are taken aside first: one of which a part is gone would not be known for what it is.
    """
    with _translated(f"remove the worker directories of slot {slot} in {home}"):
        for directory in _worker_directories(home):
            if directory.name.endswith(f"-{slot}"):
                aside = directory.with_name(directory.name + _ASIDE)
                remove_tree(aside)
                with suppress(FileNotFoundError):  # another removal was faster
                    directory.rename(aside)
        for aside in _directories_outside_of_workers(home):
            if aside.name.endswith(f"-{slot}{_ASIDE}"):
                remove_tree(aside)


def _worker_directories(home: Path) -> list[Path]:
    return [each for each in _directories_outside_of_workers(home) if _is_of_a_worker(each)]


def _directories_outside_of_workers(home: Path) -> Iterator[Path]:
    """Yield what lies in the home, at any depth, but not what a build may have made."""
    for where, names, _ in os.walk(home):
        found = [Path(where, name) for name in names]
        yield from found
        names[:] = [
            each.name
            for each in found
            if not _is_of_a_worker(each) and not each.name.endswith(_ASIDE)
        ]


def _is_of_a_worker(directory: Path) -> bool:
    return any(os.path.lexists(directory / name) for name in (TACTICS_FILE, LOG))


@contextmanager
def _even_on_a_full_disk() -> Iterator[None]:
    """Leave out what needs space: removing is what makes some."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """Say what a disk error means to the loop, and what to do about it."""
    try:
        yield
    except OSError as error:
        raise disk_error(doing, error) from error


def disk_error(doing: str, error: OSError) -> DrydockError:
    reason = f"cannot {doing}: {error.strerror or error}"
    if error.filename:
        reason = f"{reason} ({error.filename})"
    if error.errno in _FULL:
        return NoCapacity(f"{reason}; free some space there")
    if error.errno in _MISCONFIGURED:
        return Misconfigured(
            f"{reason}; give the master's user that directory, or the blueprint another one"
        )
    return RetryLater(reason)
