"""A Python with ``buildbot_worker`` on any host: the one installed there, or one made for it.

What is made is a virtual environment, once per host and version of the worker::

    HOME/venv/4.3.0-cpython-311-x86_64/         the environment
    HOME/venv/4.3.0-cpython-311-x86_64.lock     held by whoever makes it

Its name tells the version of the worker and the Python it was made from, so hosts that share a home
directory over a network don't mix them up. Environments of other versions are left alone: a worker
may still run from them. They can be deleted by hand, each with its lock.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

from buildbot_drydock.errors import CommandTimedOut, HostError
from buildbot_drydock.interfaces import Completed, Host
from buildbot_drydock.latent import venv_maker

MakeVenv = Literal["if-needed", "never", "always"]

# buildbot-worker 4.2 ended the support of older ones (buildbot/buildbot, pull request 8125).
OLDEST_PYTHON: Final = (3, 7)
LOOKING_SECONDS: Final = 60.0
VENV_DIRECTORY: Final = "venv"

_VERSION: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+!]*")
_LAST_LINES: Final = 12
_NOT_FOUND: Final = 127  # as in a shell
_NOT_EXECUTABLE: Final = 126

# Understood by any Python, so that one that is too old can be told from one that is broken. What
# lies in the home directory must not be taken for a module.
_LOOK: Final = """
import sys
sys.path[:] = [each for each in sys.path if each]
import json, os, platform

found = {"python": list(sys.version_info[:3]), "executable": sys.executable}
if os.sep in wanted["python"]:
    found["executable"] = os.path.abspath(wanted["python"])  # it may be a script around a Python

def installed():
    import buildbot_worker
    from importlib.util import find_spec
    missing = [each for each in ("twisted", "msgpack", "autobahn") if find_spec(each) is None]
    if missing:
        raise ImportError("No module named " + missing[0])
    return buildbot_worker.version

try:
    found["worker"] = installed()
except Exception as error:
    found["problem"] = str(error)

def made(directory):
    import subprocess
    python = os.path.join(directory, "bin", "python")
    print_version = "import buildbot_worker; print(buildbot_worker.version)"
    if os.path.exists(os.path.join(directory, wanted["complete"])):
        with open(os.devnull, "r+") as nothing:
            subprocess.check_call(
                [python, "-I", "-c", "import buildbot_worker"],
                stdin=nothing, stdout=nothing, stderr=nothing,
            )
        return python

if sys.version_info >= (3,):
    found["tag"] = sys.implementation.cache_tag + "-" + platform.machine()
    name = wanted["name"] + "-" + found["tag"]
    found["directory"] = os.path.join(os.getcwd(), wanted["directory"], name)
    try:
        found["made"] = made(found["directory"])
    except Exception as error:
        found["broken"] = str(error)
print(json.dumps(found))
"""


def _version_of_master() -> str:
    return importlib.metadata.version("buildbot")


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """Which Python is wanted for the workers of a host. Times are in seconds.

    Raises ``ValueError`` for values that make no sense.
    """

    python: str = "python3"  # a program, or its path on the host
    # Of buildbot-worker; empty for any. An installed one serves if its major version is the same.
    worker_version: str = field(default_factory=_version_of_master)
    make_venv: MakeVenv = "if-needed"  # "never": use what is installed; "always": never use it
    pip_arguments: tuple[str, ...] = ()  # such as ("--index-url", "https://pypi.example.org")
    make_timeout: float = 600.0  # for making it, or waiting until another master has
    idle_timeout: float = 120.0  # without any output

    def __post_init__(self) -> None:
        if not self.python:
            raise ValueError("python is empty: give it a program or its path, such as 'python3'")
        if self.worker_version and not _VERSION.fullmatch(self.worker_version):
            raise ValueError(
                f"worker_version is {self.worker_version!r}: give it a version such as '4.3.0', "
                "or '' for any"
            )
        if self.make_venv not in get_args(MakeVenv):
            choices = ", ".join(repr(each) for each in get_args(MakeVenv))
            raise ValueError(f"make_venv is {self.make_venv!r}: give it one of {choices}")
        if isinstance(self.pip_arguments, str):
            raise ValueError("pip_arguments is a text: give it a tuple, one text per argument")
        for name in ("make_timeout", "idle_timeout"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be more than 0 seconds")

    @property
    def requirement(self) -> str:
        """What pip is asked to install."""
        return f"buildbot-worker=={self.worker_version}" if self.worker_version else _PACKAGE


_PACKAGE: Final = "buildbot-worker"


def fits(found: str, wanted: str) -> bool:
    """Tell whether an installed worker serves a master that would have it *wanted*.

    Buildbot's manual, "Upgrading", says that the versions of the master and the workers don't need
    to match, and that incompatible changes are made when the major version changes. So the major
    version decides, and neither the older nor the newer of two others is refused.
    """
    return not wanted or found.partition(".")[0] == wanted.partition(".")[0]


async def interpreter(host: Host, wanted: Interpreter) -> str:
    """Return the absolute path of a Python on *host* that has ``buildbot_worker``.

    One command, if there is one already. Otherwise an environment is made, by one master only,
    while others wait for it. Raises ``HostError`` that names the phase, and what to do about it.
    """
    found = await _look(host, wanted)
    if found.serves(wanted):
        return found.executable
    if found.made and wanted.make_venv != "never":
        return found.made
    if wanted.make_venv == "never":
        raise HostError(
            f"looking for buildbot-worker: {found.python} {found.lack(wanted)}. "
            f"Install {wanted.requirement} for it, give python another one, or let make_venv be "
            "'if-needed'"
        )
    if found.version < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        raise HostError(
            f"looking for Python: {found.python} {found.lack(wanted)}, and is too old to make an "
            f"environment with. Install Python {oldest} or later there, and give python its path"
        )
    return await _make(host, wanted, found)


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What a look at the host has shown."""

    version: tuple[int, ...]
    executable: str
    worker: str  # its version; empty if it cannot be used
    problem: str  # why not
    directory: str  # where an environment is, or would be
    made: str  # its interpreter; empty if there is none, or it is broken

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> _Found:
        return cls(
            version=tuple(told["python"]),
            executable=told["executable"],
            worker=told.get("worker") or "",
            problem=told.get("problem") or "",
            directory=told.get("directory") or "",
            made=told.get("made") or "",
        )

    @property
    def python(self) -> str:
        return f"{self.executable} (Python {'.'.join(map(str, self.version))})"

    def serves(self, wanted: Interpreter) -> bool:
        installed = self.worker and wanted.make_venv != "always"
        return bool(installed) and fits(self.worker, wanted.worker_version)

    def lack(self, wanted: Interpreter) -> str:
        if not self.worker:
            return f"has no buildbot-worker that works ({self.problem})"
        return (
            f"has buildbot-worker {self.worker}, which is of another major version than "
            f"{wanted.worker_version}"
        )


async def _look(host: Host, wanted: Interpreter) -> _Found:
    place = {
        "complete": venv_maker.COMPLETE,
        "directory": VENV_DIRECTORY,
        "name": wanted.worker_version or "any",
        "python": wanted.python,
    }
    try:
        completed = await host.run(
            [wanted.python, "-"],
            timeout=LOOKING_SECONDS,
            stdin=f"wanted = {place!r}\n{_LOOK}".encode(),
        )
    except CommandTimedOut as error:
        raise CommandTimedOut(
            f"looking for Python: {error}. See what {wanted.python} waits for there: it may be a "
            "file server that does not answer, or the host may be overloaded"
        ) from error
    told = _last_object(completed)
    if told is None:
        raise HostError(f"looking for Python: {_no_python(wanted, completed)}")
    return _Found.read(told)


def _no_python(wanted: Interpreter, completed: Completed) -> str:
    remedy = (
        "Install Python 3 there (Debian, Ubuntu: apt-get install python3 python3-venv), "
        "or give python the path of one"
    )
    if completed.exit_code == _NOT_FOUND:
        return f"there is no program {wanted.python!r}. {remedy}"
    if completed.exit_code == _NOT_EXECUTABLE:
        return f"{wanted.python!r} may not be executed by this user. {remedy}"
    return (
        f"{wanted.python!r} {_ended(completed)} instead of telling its version; "
        f"{_said(completed)}\n{remedy}"
    )


async def _make(host: Host, wanted: Interpreter, found: _Found) -> str:
    limit = wanted.make_timeout
    arguments = (found.directory, wanted.requirement, list(wanted.pip_arguments), limit)
    doing = f"making the environment {found.directory}"
    try:
        completed = await host.run(
            [found.executable, "-"],
            timeout=limit,
            idle_timeout=wanted.idle_timeout,
            cwd="/",  # what lies in the home directory must not be taken for a module
            stdin=f"{_PROGRAM}\nmain{arguments!r}\n".encode(),
        )
    except CommandTimedOut as error:
        raise CommandTimedOut(
            f"{doing}: {error}. See whether the host is overloaded or its package index does not "
            f"answer; make_timeout is {limit:g} s, idle_timeout {wanted.idle_timeout:g} s"
        ) from error
    told = _last_object(completed)
    if told is None:
        raise HostError(f"{doing}: the program {_ended(completed)}; {_said(completed)}")
    if "python" not in told:
        raise HostError(f"{doing}: {_failure(told['phase'], told['problem'], completed, found)}")
    return str(told["python"])


_REMEDIES: Final = {
    "files": "See what the home directory of this user is like",
    "venv": "See whether this works there by hand",
    "pip": "If the host does not reach the package index, give pip_arguments one that it reaches, "
    "such as ('--index-url', 'https://pypi.example.org') or ('--no-index', '--find-links', "
    "'/srv/wheels'), or a ('--proxy', 'http://proxy.example.org:3128')",
    "import": "Give pip_arguments a constraints file with other versions, or install "
    "buildbot-worker there",
}


def _failure(phase: str, problem: str, completed: Completed, found: _Found) -> str:
    said = _said(completed)
    trouble = _trouble_of_disk(problem if phase == "files" else said)
    if phase == "modules":
        return (
            f"{found.python} cannot make environments, as {problem}. Debian, Ubuntu: apt-get "
            "install python3-venv; or give python another one, or install buildbot-worker"
        )
    text = {
        "files": problem,
        "venv": f"python -m venv failed ({problem}); {said}",
        "pip": f"pip could not install buildbot-worker ({problem}); {said}",
        "import": f"what pip installed does not work ({problem}); {said}",
    }[phase]
    return f"{text}\n{trouble or _REMEDIES[phase]}"


def _trouble_of_disk(text: str) -> str:
    """Return the remedy if the disk is what fails, told by the words of a C library or pip."""
    if re.search(r"No space left on device|Disk quota exceeded|ENOSPC|EDQUOT", text):
        return "Free some space on the disk of the home directory"
    if re.search(r"Permission denied|EACCES|EPERM|EROFS|Read-only file system", text):
        return "Give this user a home directory, and a temporary one, that it may write to"
    if re.search(r"ENOTDIR|EEXIST", text):
        return f"Move away what is in the way: {VENV_DIRECTORY} must be a directory"
    return ""


def _last_object(completed: Completed) -> dict[str, Any] | None:
    """Return what the program told in its last line; a login shell may have written before."""
    last = completed.stdout.decode(errors="replace").rstrip().rpartition("\n")[2]
    try:
        told = json.loads(last)
    except ValueError:
        return None
    return told if completed.exit_code == 0 and isinstance(told, dict) else None


def _ended(completed: Completed) -> str:
    if completed.exit_code < 0:
        return f"was ended by signal {-completed.exit_code}"
    return f"ended with exit code {completed.exit_code}"


def _said(completed: Completed) -> str:
    text = (completed.stdout + completed.stderr).decode(errors="replace")
    lines = [each for each in text.splitlines() if each.strip() and not each.startswith("{")]
    last = "\n".join(lines[-_LAST_LINES:])
    return f"its last output was:\n{last}" if last else "it wrote nothing"


_PROGRAM: Final = Path(venv_maker.__file__).read_text("utf-8")
