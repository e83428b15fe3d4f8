"""A directory on a machine as a host, by scripts for a POSIX shell."""

from __future__ import annotations

import hashlib
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import quote

from buildbot_drydock.errors import HostError, HostUnreachable
from buildbot_drydock.interfaces import Completed
from buildbot_drydock.remote.processes import RESOURCE_MARK, TAG_MARK
from buildbot_drydock.remote.shell import processes, scripts
from buildbot_drydock.remote.shell.exchange import Answer, Machine, Request
from buildbot_drydock.remote.shell.failures import WORKING, failed

_FILE_SECONDS: Final = 300.0  # limit of what moves a file or looks for a process
_REMOVAL_SECONDS: Final = 3600.0
_KILL_SECONDS: Final = 60.0  # what stopping may take beyond the grace
_PAUSES_PER_SECOND: Final = 20  # of the scripts that wait for processes
_SPARE_SECONDS: Final = 5  # a machine ends a command by itself that much after its timeout
_END_GROUP: Final = b"\n"
# What stands by is given a tag later, where it has kept the space for it.
LONGEST_TAG: Final = 120


class ShellHost:
    """Runs commands and moves files in a directory of a machine.

    *directory* is relative to the user's home. Paths are relative to *directory*, and a log's to
    the working directory; if *directory* is gone, so is the host. *marks* are environment variables
    that everything run here bears, and hands on.
    """

    def __init__(
        self,
        machine: Machine,
        directory: str,
        *,
        marks: Mapping[str, str] | None = None,
        grace_seconds: float = 5.0,
    ) -> None:
        self._machine = machine
        self._directory = directory
        self._marks = dict(marks or {})
        self._grace_seconds = grace_seconds

    async def make_directory(self) -> None:
        """Make the host's directory, readable by its user only; nothing if it is there."""
        doing = f"make the directory {self._directory}"
        await self._do(doing, scripts.MAKE_DIRECTORY, {})

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
        """Run a command; see ``Host``. The machine ends it by itself if nobody else does."""
        values = {
            "cwd": _relative(cwd),
            "size": str(len(stdin)),
            "seconds": str(math.ceil(timeout) + _SPARE_SECONDS),
            "environment": self._environment(env, {}),
        }
        answer = await self._ask(
            f"run {argv[0]}",
            scripts.RUN,
            values,
            argv,
            content=stdin,
            shown=shlex.join(argv),
            timeout=timeout,
            idle_timeout=idle_timeout,
            farewell=_END_GROUP,
        )
        return answer.completed

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
        """Start a process; see ``Host``. One that stands by for it takes its place."""
        path, content = file or ("", b"")
        values = {
            "cwd": _relative(cwd),
            "log": _relative(log),
            "log_directory": _directory_of(log),
            "mark": _mark(TAG_MARK, tag),
            "notes": " ".join(map(_note, [tag, *self._marks.values()])),
            "environment": self._environment(env, {TAG_MARK: tag}),
            "file": _relative(path),
            "file_directory": _directory_of(path),
            "size": str(len(content)),
            **self._standby(argv, usable=not env and "\n" not in f"{cwd}{log}"),
        }
        await self._do(f"start {argv[0]}", processes.START, values, argv, content=content)

    async def stand_by(self, argv: Sequence[str], *, instead_of: Sequence[str]) -> None:
        """Start a process that waits to be what ``start(instead_of)`` starts next, once.

        It makes the host's directory as well. If one stands by already, or none can, nothing is
        done. The process is one as ``latent/standby.py``. It bears the marks of everything that is
        run here, and is ended with that.
        """
        standby = self._standby(instead_of, usable=True)
        tag = standby["standby_mark"].partition("=")[2]
        values = {
            "mark": standby["standby_mark"],
            "notes": " ".join(map(_note, self._marks.values())),
            "environment": self._environment(None, {TAG_MARK: tag}),
            **standby,
        }
        await self._do(f"have {argv[0]} stand by", processes.STAND_BY, values, argv)

    def _standby(self, argv: Sequence[str], *, usable: bool) -> dict[str, str]:
        """Return what finds the process that stands by for a command."""
        if not usable:
            return {"standby": "", "standby_mark": ""}
        # Others may have some on the same machine.
        whole = "\0".join([self._directory, *self._marks.values(), *argv])
        name = hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        tag = f"drydock-standby-{name}".ljust(LONGEST_TAG, ".")
        return {"standby": name, "standby_mark": _mark(TAG_MARK, tag)}

    async def running(self, tag: str) -> bool:
        """Tell whether any process marked with *tag* is left, even if the directory is gone."""
        values = {"mark": _mark(TAG_MARK, tag)}
        answer = await self._do("look for processes", processes.RUNNING, values)
        return answer.completed.stdout == b"yes\n"

    async def stop(self, tag: str) -> None:
        """End all processes marked with *tag* for good, even if the directory is gone."""
        await self.end_marked(TAG_MARK, tag)

    async def end_marked(self, mark: str, value: str) -> None:
        """End all processes that bear the environment variable *mark* with *value*, for good.

        The leaders of process groups are asked first, and what is left after the grace time is
        killed. Raises ``HostError`` that names what is still left then. Nothing is started with
        that mark in this directory any more.
        """
        values = {
            "mark": _mark(mark, value),
            "note": _note(value),
            "grace": str(math.ceil(self._grace_seconds * _PAUSES_PER_SECOND)),
        }
        await self._do(
            f"end the processes marked {mark}={value}",
            processes.STOP,
            values,
            timeout=2 * self._grace_seconds + _KILL_SECONDS,
        )

    async def read(self, path: str) -> bytes:
        answer = await self._do(f"read {self._shown(path)}", scripts.READ, {}, [_relative(path)])
        return answer.completed.stdout

    async def write(self, path: str, content: bytes, *, mode: int = 0o600) -> None:
        target = _relative(path)
        await self._do(
            f"write {self._shown(path)}",
            scripts.WRITE,
            {"size": str(len(content)), "mode": f"{mode:o}"},
            [target, str(PurePosixPath(target).parent) if target else ""],
            content=content,
        )

    async def exists(self, path: str) -> bool:
        doing = f"look for {self._shown(path)}"
        answer = await self._do(doing, scripts.EXISTS, {}, [_relative(path)])
        return answer.completed.stdout == b"yes\n"

    async def remove(self, path: str) -> None:
        """Remove a file or a whole directory inside the host's own; ``HostError`` for others."""
        target = PurePosixPath(path)
        if target.name in ("", ".."):
            raise HostError(
                f"refusing to remove {self._shown(path)}: it is not inside {self._directory}"
            )
        await self._do(
            f"remove {self._shown(path)}",
            scripts.REMOVE,
            {},
            [_relative(path), _relative(str(target.parent)), target.name],
            timeout=_REMOVAL_SECONDS,
        )

    # --- how it gets there --------------------------------------------------------------------

    async def _do(
        self,
        doing: str,
        script: str,
        values: Mapping[str, str],
        argv: Sequence[str] = (),
        *,
        content: bytes = b"",
        timeout: float = _FILE_SECONDS,
    ) -> Answer:
        """Run a script that succeeds or fails as a whole."""
        answer = await self._ask(
            doing, script, values, argv, content=content, shown=f"to {doing}", timeout=timeout
        )
        if answer.completed.exit_code != 0:
            raise failed(self._machine.shown, doing, answer.complaint)
        return answer

    async def _ask(
        self,
        doing: str,
        script: str,
        values: Mapping[str, str],
        argv: Sequence[str],
        *,
        content: bytes,
        shown: str,
        timeout: float,
        idle_timeout: float | None = None,
        farewell: bytes = b"",
    ) -> Answer:
        try:
            head = scripts.given({"directory": self._directory, **values}, argv)
        except ValueError as error:
            raise HostError(f"cannot {doing}: {error}") from error
        request = Request(
            shown=shown,
            script=script,
            content=head + content,
            timeout=timeout,
            idle_timeout=idle_timeout,
            farewell=farewell,
        )
        answer = await self._machine.exchange(request)
        self._require_ready(doing, answer)
        return answer

    def _require_ready(self, doing: str, answer: Answer) -> None:
        """Raise the error of a script that could not begin."""
        shown = self._machine.shown
        code = answer.completed.exit_code
        if answer.ready:
            return
        if code == scripts.GONE:
            said = answer.complaint.decode(errors="replace").strip()
            raise HostUnreachable(f"{shown}: {WORKING}: {said}", phase=WORKING)
        if code == scripts.CUT_OFF:
            raise HostUnreachable(f"{shown}: cannot {doing}: not all of it arrived")
        if code != scripts.FAILED:
            raise self._machine.did_not_run(code, answer.complaint)
        raise failed(shown, doing, answer.complaint)

    def _environment(self, env: Mapping[str, str] | None, more: Mapping[str, str]) -> str:
        try:
            return scripts.exports(
                {**(env or {}), **self._marks, **more}, without=(TAG_MARK, RESOURCE_MARK)
            )
        except ValueError as error:
            raise HostError(str(error)) from error

    def _shown(self, path: str) -> str:
        return str(PurePosixPath(self._directory) / path)


def _relative(path: str | None) -> str:
    """Spell a path so that no program takes it for an option; empty if there is none."""
    if not path:
        return ""
    return path if path.startswith("/") else f"./{path}"


def _directory_of(path: str | None) -> str:
    return _relative(path and str(PurePosixPath(path).parent))


def _note(tag: str) -> str:
    """Return the name of the file that says that a tag must not be started any more."""
    return quote(tag, safe="")


def _mark(mark: str, value: str) -> str:
    if "\n" in value:
        raise HostError(f"{mark}={value!r} can't be a mark, as it has more than one line")
    return f"{mark}={value}"
