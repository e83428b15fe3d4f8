"""What ``doctor`` looks at in the directory of a master, in processes of their own.

So what a configuration imports, or a database does, is no concern of the command.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from buildbot_drydock.cli.problems import Finding, Severity

_CHECKCONFIG: Final = (
    "import sys; from buildbot.scripts.runner import run; sys.argv[0] = 'buildbot'; run()"
)
_INSPECTION: Final = "buildbot_drydock.inspection"
LONGEST_SECONDS: Final = 120.0


def of_basedir(basedir: Path) -> Iterator[Finding]:
    yield from of_configuration(basedir)
    yield from of_database(basedir)


def of_configuration(basedir: Path) -> Iterator[Finding]:
    """Have Buildbot check ``master.cfg``, with the Python that runs the command."""
    code, out, errors = _run(["-c", _CHECKCONFIG, "checkconfig", str(basedir)])
    if code == 0:
        yield Finding(
            subject="configuration",
            severity=Severity.OK,
            message=f"buildbot checkconfig finds nothing wrong in {basedir}",
        )
        return
    yield Finding(
        subject="configuration",
        severity=Severity.PROBLEM,
        message=(errors.strip() or out.strip() or f"buildbot checkconfig ended with {code}"),
        remedy=f"mend master.cfg, then: buildbot checkconfig {basedir}",
    )


def of_database(basedir: Path) -> Iterator[Finding]:
    """Have the state of the tables looked at; see ``buildbot_drydock.inspection``."""
    code, out, errors = _run(["-m", _INSPECTION, str(basedir)])
    try:
        found = json.loads(out.strip().split("\n")[-1])
        yield Finding(
            subject="database",
            severity=Severity(found["severity"]),
            message=found["message"],
            remedy=found["remedy"],
        )
    except (ValueError, KeyError, TypeError):
        last = (errors.strip() or out.strip() or f"it ended with {code}").split("\n")[-1]
        yield Finding(
            subject="database",
            severity=Severity.PROBLEM,
            message=f"it could not be looked at: {last}",
            remedy="mend the configuration first",
        )


def _run(arguments: Sequence[str]) -> tuple[int, str, str]:
    try:
        ended = subprocess.run(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LONGEST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, "", f"it took longer than {LONGEST_SECONDS:.0f} s"
    return ended.returncode, ended.stdout, ended.stderr
