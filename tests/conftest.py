"""What holds for every test.

* With ``CI=true``, or ``--no-skips``, a skipped test is a failed one: what is not run proves
  nothing.
* Tests run in a temporary directory, where ``mktemp`` of trial leaves its directories.
* With several processes, tests that use the same servers or machines stay in one of them.
* With ``--passed FILE``, what has passed is left out the next time; see ``passed_before``.
* No test may fail because a machine is busy: Hypothesis has no deadline, and trial a late one.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings
from twisted.trial.unittest import TestCase as AsynchronousTestCase
from xdist.scheduler import LoadScopeScheduling

from tests import passed_before

settings.register_profile("drydock", deadline=None, print_blob=True)
settings.load_profile("drydock")

# Far more than any test takes: one that takes longer waits for what never happens.
PATIENCE_SECONDS = float(os.environ.get("DRYDOCK_PATIENCE_SECONDS", "900"))


def pytest_addoption(parser: pytest.Parser) -> None:
    passed_before.add_option(parser)
    parser.addoption(
        "--no-skips",
        action="store_true",
        default=os.environ.get("CI", "").lower() == "true",
        help="count a skipped test as a failed one (the default if CI=true)",
    )


def pytest_configure(config: pytest.Config) -> None:
    passed_before.configure(config)


class _Together(LoadScopeScheduling):
    """Gives tests to processes one by one, but for those of files that share what is there once."""

    def _split_scope(self, nodeid: str) -> str:
        return _shared_by(self.config.rootpath / nodeid.partition("::")[0]) or nodeid


@cache
def _shared_by(path: Path) -> str:
    """Return which module of helpers a file uses that stands for real servers or machines.

    Those that use a browser have one to themselves, and a master.
    """
    if path.parent.name == "browser":
        return str(path)
    pattern = r"^from tests\b.*\b(databases|ssh_hosts|cli_masters|container|kubernetes)(s|_pools|_cluster|_pods|_lab)?\b"
    found = re.search(pattern, path.read_text(), re.MULTILINE)
    return found.group(1) if found else ""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> _Together:
    return _Together(config, log)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    expected_failure = hasattr(report, "wasxfail")
    if not report.skipped or expected_failure:
        return
    complaint = f"{report.nodeid} was skipped, and with --no-skips nothing may be"
    report.longrepr = f"{complaint}: {_reason(report)}"
    report.outcome = "failed"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if item.config.getoption("no_skips"):
        _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if collector.config.getoption("no_skips"):
        _fail_if_skipped(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once per reason, and not once per test, why tests were skipped."""
    reports = terminalreporter.stats.get("skipped", [])
    for reason, count in Counter(_reason(report) for report in reports).items():
        terminalreporter.write_line(f"SKIPPED [{count}] {reason}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests their time: those that are made of Buildbot's own would have seconds."""
    for item in items:
        test_class = getattr(item, "cls", None)
        if test_class is not None and issubclass(test_class, AsynchronousTestCase):
            test_class.timeout = PATIENCE_SECONDS


@pytest.fixture(scope="session", autouse=True)
def _temporary_working_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("work"))
    yield
    os.chdir(before)
