"""The program that makes a virtual environment for workers. It runs on the host.

Its source is sent there, so it needs nothing but the standard library of Python 3.7, on a POSIX
system. Whatever it writes is for people, but for its last line, which is JSON: ``python`` is the
interpreter that was made, or ``phase`` and ``problem`` say what failed. A directory counts as made
only with the file ``COMPLETE`` in it; one without is what a dead attempt left, and is removed.
"""

from __future__ import annotations

import errno
import fcntl
import importlib.util
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

COMPLETE = ".drydock-complete"
POLL_SECONDS = 0.2
TELL_SECONDS = 1.0  # a wait is no silence
QUIETLY = ("--no-input", "--disable-pip-version-check", "--progress-bar", "off")
# What a worker process imports; it is imported once, so that a broken host shows here.
VERIFY = "import buildbot_worker.bot as bot, twisted.scripts.twistd"


class Failed(Exception):
    def __init__(self, phase: str, problem: str) -> None:
        super().__init__(problem)
        self.phase = phase


def main(directory: str, requirement: str, pip_arguments: list[str], limit: float) -> None:
    """Make the environment, or wait until somebody else has; print the result."""
    directory = os.path.abspath(directory)
    deadline = time.monotonic() + limit
    try:
        with _locked(f"{directory}.lock", deadline) as lock:
            if not is_complete(directory):
                try:
                    _make(directory, requirement, pip_arguments, lock, deadline)
                except BaseException:
                    shutil.rmtree(directory, ignore_errors=True)  # it may have filled the disk
                    raise
        result = {"python": interpreter_in(directory)}
    except Failed as failed:
        result = {"phase": failed.phase, "problem": str(failed)}
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "")
        result = {"phase": "files", "problem": f"{name}: {error}"}
    print("\n" + json.dumps(result), flush=True)


def interpreter_in(directory: str) -> str:
    return os.path.join(directory, "bin", "python")


def is_complete(directory: str) -> bool:
    """Tell whether it was made to the end, and its interpreter still works."""
    if not os.path.exists(os.path.join(directory, COMPLETE)):
        return False
    try:
        looking = subprocess.run(
            [interpreter_in(directory), "-I", "-c", "import buildbot_worker"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return False  # the Python that it was made from is gone
    return looking.returncode == 0


def _make(
    directory: str, requirement: str, pip_arguments: list[str], lock: int, deadline: float
) -> None:
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            raise Failed("modules", f"it has no module {module}")
    if os.path.lexists(directory):
        _tell(f"removing what an earlier attempt left in {directory}")
        shutil.rmtree(directory)
    python = interpreter_in(directory)
    install = [python, "-m", "pip", "install", *QUIETLY, *pip_arguments, requirement]
    for phase, argv in (
        ("venv", [sys.executable, "-m", "venv", directory]),
        ("pip", install),
        ("import", [python, "-I", "-c", VERIFY]),
    ):
        _run(phase, argv, lock, deadline)
    os.sync()  # else a power cut could leave the mark, and files without content
    mark = os.path.join(directory, COMPLETE)
    with open(f"{mark}.new", "w", encoding="utf-8") as file:
        file.write(f"{requirement}\n")
        file.flush()
        os.fsync(file.fileno())
    os.rename(f"{mark}.new", mark)


def _run(phase: str, argv: list[str], lock: int, deadline: float) -> None:
    """Run one step to its end. Its output is ours.

    It holds the lock, too: if this process alone is killed, the next attempt waits until the step
    has come to its end, rather than to write to the same files.
    """
    child = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        pass_fds=(lock,),
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    while True:
        try:
            code = child.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            _end_if_in_vain(deadline)
        else:
            break
    if code:
        raise Failed(phase, f"exit code {code}")


@contextmanager
def _locked(path: str, deadline: float) -> Iterator[int]:
    """Hold the lock of one environment: whoever makes it has it, and their death frees it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        told = 0.0
        while not _try_to_lock(lock):
            if time.monotonic() >= told + TELL_SECONDS:
                told = time.monotonic()
                _tell(f"waiting for another attempt, which holds {path}")
            _end_if_in_vain(deadline)
            select.select([], [], [], POLL_SECONDS)
        yield lock
    finally:
        os.close(lock)


def _try_to_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end_if_in_vain(deadline: float) -> None:
    """End with all steps if nobody waits for the result: the master was killed, or its limit hit.

    Whoever called ends the whole process group in time. This is for one who can't any more.
    """
    output = select.poll()
    output.register(1, 0)
    if not output.poll(0) and time.monotonic() < deadline:
        return
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _tell(text: str) -> None:
    print(text, flush=True)
