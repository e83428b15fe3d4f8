#!/usr/bin/env python
"""Plant known bugs, one at a time, and see that the tests catch each: ``mutants.py [WORD ...]``.

Each bug is planted in a copy of the package, on which the tests that should notice it are run. It
is caught if one of them fails, or hangs. Exits with 1 if a bug survives, and also if one cannot be
planted any more because the source has changed: then say in ``planted_bugs.py`` where it is now.

With words, only bugs whose module or description contains one of them are planted.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from forked_tests import PACKAGE, adopt_orphans, import_before, run_tests
from planted_bugs import BUGS, Bug
from planted_bugs_in_access import BUGS as BUGS_IN_ACCESS
from planted_bugs_in_costs_and_edits import BUGS as BUGS_IN_COSTS_AND_EDITS
from planted_bugs_in_endings import BUGS as BUGS_IN_ENDINGS
from planted_bugs_in_hosts import BUGS as BUGS_IN_HOSTS
from planted_bugs_in_parking import BUGS as BUGS_IN_PARKING
from planted_bugs_in_pods import BUGS as BUGS_IN_PODS
from planted_bugs_in_retention import BUGS as BUGS_IN_RETENTION
from planted_bugs_in_sharing import BUGS as BUGS_IN_SHARING
from planted_bugs_in_standby import BUGS as BUGS_IN_STANDBY
from planted_bugs_in_steps import BUGS as BUGS_IN_STEPS

ROOT = Path(__file__).resolve().parents[1]
LIMIT_SECONDS = 90.0  # of the tests that are to catch one bug
WITHOUT_BUG_SECONDS = 300.0  # of one of them, when there is none to catch
ENVIRONMENT = {
    "CI": "",
    "DRYDOCK_SEED": "0",
    "DRYDOCK_RUNS": "60",  # enough for the bugs that only a storm finds; always the same ones
    "DRYDOCK_PATIENCE_SECONDS": "30",  # that one test may take
}
FAILED = 1  # of pytest: tests ran, and some failed
ALL_BUGS = (
    *BUGS,
    *BUGS_IN_ACCESS,
    *BUGS_IN_HOSTS,
    *BUGS_IN_ENDINGS,
    *BUGS_IN_PARKING,
    *BUGS_IN_PODS,
    *BUGS_IN_SHARING,
    *BUGS_IN_COSTS_AND_EDITS,
    *BUGS_IN_RETENTION,
    *BUGS_IN_STANDBY,
    *BUGS_IN_STEPS,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    caught: bool
    remark: str
    seconds: float = 0.0


def copy_to(directory: Path) -> None:
    for name in (PACKAGE, "tests", "docs"):
        leave_out = shutil.ignore_patterns("node_modules", "screenshots")
        shutil.copytree(ROOT / name, directory / name, ignore=leave_out)
    shutil.copy2(ROOT / "pyproject.toml", directory)


def plant(bug: Bug, directory: Path) -> str:
    """Change the copy in *directory*; return what prevents that, if something does."""
    path = directory / PACKAGE / bug.module
    source = path.read_text()
    count = source.count(bug.before)
    if count != 1:
        return f"its place is found {count} times: {bug.before!r}"
    path.unlink()  # not to be written to: it is the original's as well
    path.write_text(source.replace(bug.before, bug.after))
    for stale in path.parent.glob(f"__pycache__/{path.stem}.*"):
        stale.unlink()
    return ""


def first_failure(output: str) -> str:
    """Return the name of the test that failed."""
    for line in output.splitlines():
        if line.startswith(("FAILED ", "ERROR ", "SUBFAILED")):
            return line.partition("::")[2].partition(" - ")[0].rpartition("::")[2]
    return "a test failed"


def judge(original: Path, bug: Bug) -> Outcome:
    """Plant *bug* in a copy of *original*, and see what the tests say."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="drydock-mutant-") as name:
        copy, scratch = Path(name, "copy"), Path(name)
        shutil.copytree(original, copy, copy_function=os.link)
        if problem := plant(bug, copy):
            return Outcome(False, problem)
        status, output = run_tests(copy, scratch, bug.tests, LIMIT_SECONDS)
    seconds = time.monotonic() - started
    if status is None:
        return Outcome(True, "the tests hung", seconds)
    if status == FAILED:
        return Outcome(True, first_failure(output), seconds)
    if status == 0:
        return Outcome(False, f"SURVIVED {' '.join(bug.tests)}", seconds)
    return Outcome(False, f"the tests did not run:\n{output[-2000:]}", seconds)


def without_bug(original: Path, test: str) -> str:
    """Run a test of the bugs without one: if it fails there, it proves nothing.

    Returns what went wrong, if something did. What Python, pytest and Hypothesis find out about
    sources is left in *original*, and need not be found out for each bug again.
    """
    with tempfile.TemporaryDirectory(prefix="drydock-mutant-") as name:
        status, output = run_tests(original, Path(name), [test], WITHOUT_BUG_SECONDS)
    if status is None:
        return f"{test} takes more than {WITHOUT_BUG_SECONDS:.0f} s without any bug"
    return "" if status == 0 else f"{test} fails without any bug:\n{output[-3000:]}"


def chosen(words: Sequence[str]) -> list[Bug]:
    return [
        bug
        for bug in ALL_BUGS
        if not words or any(word in f"{bug.module} {bug.description}" for word in words)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD")
    bugs = chosen(parser.parse_args().words)
    if not bugs:
        print("no bug has these words")
        return 1
    os.environ.update(ENVIRONMENT)
    import_before()
    fork = multiprocessing.get_context("fork")
    with (
        tempfile.TemporaryDirectory(prefix="drydock-mutants-") as name,
        ProcessPoolExecutor(os.cpu_count(), fork, adopt_orphans) as pool,
    ):
        original = Path(name)
        copy_to(original)
        tests = sorted({test for bug in bugs for test in bug.tests})
        if problems := [*filter(None, pool.map(partial(without_bug, original), tests))]:
            print("\n".join(problems))
            return 1
        missed = 0
        for bug, outcome in zip(bugs, pool.map(partial(judge, original), bugs), strict=True):
            missed += not outcome.caught
            verdict = "caught" if outcome.caught else "MISSED"
            print(f"{verdict} {outcome.seconds:5.1f} s  {bug.module}: {bug.description}")
            print(f"                {outcome.remark}", flush=True)
    print(f"{len(bugs)} bugs planted, {len(bugs) - missed} caught, {missed} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
