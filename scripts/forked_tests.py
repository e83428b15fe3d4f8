"""Run tests in forks of one process, which has imported before what takes them long to import.

Each run has a process, a session and a directory for temporary files of its own. It starts from
what comes before any test: nothing of the package under test is imported, and no reactor chosen.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest

PACKAGE = "buildbot_drydock"
IMPORTED_BEFORE = (  # without buildbot, most modules of which choose a reactor
    "hypothesis.stateful",
    "jwt",
    "mako.template",
    "sqlalchemy.dialects.mysql",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.sqlite",
    "treq",
    "twisted.internet.posixbase",
    "twisted.internet.ssl",
    "twisted.trial.unittest",
    "xdist.scheduler",
)
OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "-W", "ignore")
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


def import_before() -> None:
    """Import what the tests need, once for all runs."""
    for name in IMPORTED_BEFORE:
        importlib.import_module(name)
    for plugin in entry_points(group="pytest11"):
        plugin.load()
    for name in (PACKAGE, "twisted.internet.reactor"):
        if name in sys.modules:
            raise RuntimeError(f"{name} is imported, which each run has to do by itself")
    gc.freeze()


def adopt_orphans() -> None:
    """Become the parent of processes that tests leave behind, where the system knows of that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def run_tests(
    copy: Path, scratch: Path, tests: Sequence[str], limit_seconds: float
) -> tuple[int | None, str]:
    """Run *tests* on the package in *copy*, and end every process that they leave.

    Returns the exit status of pytest, ``None`` if it hung, and its output.
    """
    output = scratch / "output"
    options = [*OPTIONS, f"--basetemp={scratch / 'temporary'}"]
    runner = os.fork()
    if not runner:
        _become_tests(copy, output, [*options, *tests])
    try:
        with _killed_after(limit_seconds, runner) as hung:
            status = _end_of(runner)
    finally:
        _kill_children()
    return None if hung else os.waitstatus_to_exitcode(status), output.read_text("utf-8", "replace")


def _become_tests(copy: Path, output: Path, arguments: list[str]) -> NoReturn:
    status: int = pytest.ExitCode.INTERNAL_ERROR
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT), 1)
        os.dup2(1, 2)
        os.chdir(copy)
        os.environ["PYTHONPATH"] = str(copy)
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(copy / ".hypothesis")
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        sys.dont_write_bytecode = False  # it is kept with the copy
        sys.path[0] = str(copy)  # in place of the directory of the script that runs
        _see_that_the_copy_is_found(copy)
        status = pytest.main(arguments)
        threading._shutdown()  # as any Python that ends waits for its threads
    except BaseException:  # noqa: BLE001  # a fork must not go on as what it was forked from
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def _see_that_the_copy_is_found(copy: Path) -> None:
    found = find_spec(PACKAGE)
    if found is None or found.origin != str(copy / PACKAGE / "__init__.py"):
        raise RuntimeError(f"the tests would be of {found}")


@contextmanager
def _killed_after(seconds: float, leader: int) -> Iterator[list[int]]:
    """Kill the session of *leader* when that time has passed; what is yielded has then a member."""
    killed: list[int] = []

    def kill(*_: object) -> None:
        killed.append(leader)
        os.killpg(leader, signal.SIGKILL)

    before = signal.signal(signal.SIGALRM, kill)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield killed
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _end_of(runner: int) -> int:
    """Wait for a child; orphans that end earlier are released, as by any process number 1."""
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == runner:
            return status


def _kill_children() -> None:
    """Kill all children; those of a killed one become this process's, and are next."""
    listed = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    while listed.exists() and (children := listed.read_text().split()):
        for child in map(int, children):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
