"""The master's own machine as a host, with a directory as its home.

Processes and files are real. Whatever blocks runs in a thread pool.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar
from urllib.parse import quote

from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from buildbot_drydock.errors import HostError, HostUnreachable
from buildbot_drydock.interfaces import Completed
from buildbot_drydock.remote.command import run_command
from buildbot_drydock.remote.processes import (
    TAG_MARK,
    MarkedProcesses,
    marked,
    unmarked_environment,
)

T = TypeVar("T")

_START_LOCK: Final = ".drydock-start.lock"
_STOPPED: Final = ".drydock-stopped"  # an empty file for each tag that must not be started again
_STOPPED_SECONDS: Final = 7 * 86400.0  # a start is not under way for longer
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_LOCK_ATTEMPTS: Final = 100
_LOCK_SECONDS: Final = 0.1  # between two attempts

# Children of this process, whichever host started them. Twisted reaps only what it started itself.
_children: list[subprocess.Popen[bytes]] = []
_children_lock = Lock()


class LocalHost:
    """Runs commands and moves files on this machine.

    Paths are relative to *directory*, and a log's to the working directory; if *directory* is gone,
    so is the host. *marks* are environment variables that everything run here bears, and hands on.
    """

    def __init__(
        self,
        reactor: Any,  # IReactorProcess, IReactorTime and IReactorFromThreads
        threads: ThreadPool,
        directory: str,
        *,
        marks: Mapping[str, str] | None = None,
        grace_seconds: float = 5.0,
    ) -> None:
        self._reactor = reactor
        self._threads = threads
        self._directory = Path(directory).absolute()
        self._marks = dict(marks or {})
        self._processes = MarkedProcesses(reactor, threads, grace_seconds=grace_seconds)

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
        where = await self._in_thread(self._working_directory, cwd)
        try:
            return await run_command(
                self._reactor,
                argv,
                timeout=timeout,
                idle_timeout=idle_timeout,
                env=self._environment(env),
                cwd=str(where),
                stdin=stdin,
            )
        except OSError as error:
            raise HostError(f"cannot run {argv[0]}: {error.strerror}") from error

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
        environment = {**self._environment(env), TAG_MARK: tag}

        def start_once() -> bool:
            return self._start_once(argv, tag, environment, cwd, log, file)

        await self._under_lock(f"start {argv[0]}", start_once)

    async def _under_lock(
        self, doing: str, function: Callable[..., bool], *arguments: object
    ) -> None:
        """Call a function, which tells whether it could get the start lock, until it could."""
        for _ in range(_LOCK_ATTEMPTS):
            if await self._in_thread(function, *arguments):
                return
            await deferLater(self._reactor, _LOCK_SECONDS)
        raise HostError(
            f"cannot {doing}: another process has held {self._directory / _START_LOCK} "
            f"for {_LOCK_ATTEMPTS * _LOCK_SECONDS:g} s; see whether a master hangs"
        )

    async def running(self, tag: str) -> bool:
        await self._in_thread(_reap_children)
        return bool(await self._processes.find(TAG_MARK, tag))

    async def stop(self, tag: str) -> None:
        await self._under_lock(f"stop {tag}", self._forbid, tag)
        await self._processes.end(TAG_MARK, tag)
        await self._in_thread(_reap_children)

    async def read(self, path: str) -> bytes:
        return await self._with_file("read", path, Path.read_bytes)

    async def write(self, path: str, content: bytes, *, mode: int = 0o600) -> None:
        await self._with_file("write", path, lambda target: write_atomically(target, content, mode))

    async def exists(self, path: str) -> bool:
        return await self._with_file("look for", path, os.path.lexists)

    async def remove(self, path: str) -> None:
        """Remove a file or a whole directory inside the host's own; ``HostError`` for others."""
        await self._with_file("remove", path, self._remove)

    # --- in a thread -------------------------------------------------------------------------

    def _start_once(
        self,
        argv: Sequence[str],
        tag: str,
        environment: Mapping[str, str],
        cwd: str | None,
        log: str | None,
        file: tuple[str, bytes] | None,
    ) -> bool:
        """Start the process unless it runs; tell whether that could be found out.

        The lock makes a look and a start one step, for all masters on this machine. A child holds
        it, too, until it bears its mark, so a master that dies in between leaves no gap either.
        """
        self._require()
        with _held(self._directory / _START_LOCK) as held:
            if held and self._note_of_stop(tag).exists():
                raise HostError(f"cannot start {argv[0]}: {tag} was stopped before")
            if held and not marked(TAG_MARK, tag):
                try:
                    if file is not None:
                        write_atomically(self._directory / file[0], file[1])
                    self._spawn(argv, environment, self._working_directory(cwd), log)
                except OSError as error:
                    raise HostError(f"cannot start {argv[0]}: {_told(error)}") from error
        return held

    def _forbid(self, tag: str) -> bool:
        """Let nothing be started with this tag any more; tell whether that could be done.

        A start that holds the lock meanwhile is awaited: what it starts is found then.
        """
        if not self._directory.is_dir():
            return True  # nothing can be started there
        try:
            with _held(self._directory / _START_LOCK) as held:
                if held:
                    note = self._note_of_stop(tag)
                    note.parent.mkdir(exist_ok=True)
                    note.touch()
                    _remove_old(note.parent, note.stat().st_mtime - _STOPPED_SECONDS)
        except FileNotFoundError:
            return True  # the directory was removed meanwhile
        except OSError as error:
            if error.errno not in _FULL:
                raise HostError(f"cannot note that {tag} is stopped: {_told(error)}") from error
            return True  # nothing can be written to be started from either
        return held

    def _note_of_stop(self, tag: str) -> Path:
        return self._directory / _STOPPED / quote(tag, safe="")

    def _spawn(
        self, argv: Sequence[str], environment: Mapping[str, str], where: Path, log: str | None
    ) -> None:
        log_path = Path(os.devnull) if log is None else where / log
        log_path.parent.mkdir(parents=True, exist_ok=True)
        output = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=where,
                env=environment,
                start_new_session=True,
            )
        finally:
            os.close(output)
        with _children_lock:
            _children.append(child)
        _reap_children()

    def _working_directory(self, cwd: str | None) -> Path:
        self._require()
        where = self._directory if cwd is None else self._directory / cwd
        if not where.is_dir():
            raise HostError(f"the working directory {where} does not exist")
        return where

    def _remove(self, target: Path) -> None:
        home = self._directory.resolve()
        parent = target.parent.resolve()
        if not (parent == home or home in parent.parents) or target.name == "..":
            raise HostError(f"refusing to remove {target}: it is not inside {self._directory}")
        remove_tree(parent / target.name)

    def _require(self) -> None:
        if not self._directory.is_dir():
            raise HostUnreachable(f"the directory {self._directory} is gone")

    # --- between the two ---------------------------------------------------------------------

    def _environment(self, env: Mapping[str, str] | None) -> dict[str, str]:
        return {**unmarked_environment(), **(env or {}), **self._marks}

    async def _with_file(self, doing: str, path: str, act: Callable[[Path], T]) -> T:
        def in_thread() -> T:
            self._require()
            target = self._directory / path
            try:
                return act(target)
            except OSError as error:
                raise HostError(f"cannot {doing} {target}: {_told(error)}") from error

        return await self._in_thread(in_thread)

    async def _in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        return await deferToThreadPool(self._reactor, self._threads, function, *arguments)


def write_atomically(target: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file at once and for good, making its directories. Blocks."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=".drydock-", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def remove_tree(target: Path) -> None:
    """Remove a file, a link or a whole directory; nothing if there is none. Blocks."""
    if target.is_symlink() or not target.is_dir():
        try:
            target.unlink(missing_ok=True)
        except IsADirectoryError:
            remove_tree(target)  # somebody has moved one there meanwhile
        return
    try:
        shutil.rmtree(target)
    except FileNotFoundError:
        remove_tree(target)  # something else removed a part of it meanwhile: what is left
    except PermissionError:
        _make_writable(target)
        shutil.rmtree(target)


def _make_writable(target: Path) -> None:
    """Let what a build has made read-only, such as Go's module cache, be removed."""
    os.chmod(target, 0o700)
    for parent, directories, _ in os.walk(target):
        for name in directories:
            directory = os.path.join(parent, name)
            if not os.path.islink(directory):
                os.chmod(directory, 0o700)


def _remove_old(directory: Path, before: float) -> None:
    """Remove the files of a directory that were last changed before a time."""
    for entry in os.scandir(directory):
        with suppress(FileNotFoundError):  # somebody else was faster
            if entry.stat().st_mtime < before:
                os.unlink(entry)


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Hold a lock file, if nobody else does; tell whether. It is given back on the way out."""
    # Close-on-exec, as Python opens all files: a child gives the lock up when it becomes marked.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _reap_children() -> None:
    with _children_lock:
        _children[:] = [child for child in _children if child.poll() is None]


def _told(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{reason}: {error.filename}" if error.filename else reason
