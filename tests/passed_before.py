"""What has passed a moment ago on the same sources, and need not run again.

``make test`` and ``make test-all`` have most tests in common. Where both are run, as in ``.ci/run``,
``PASSED=FILE`` to both gives pytest ``--passed FILE``: tests that pass are added to that file, and
those it names are left out. One of which anything was skipped is not added. Whoever asks for this
removes an old file first.
"""

from __future__ import annotations

from pathlib import Path

import pytest


def add_option(parser: pytest.Parser) -> None:
    parser.addoption(
        "--passed", metavar="FILE", help="leave out the tests that it names; add to it"
    )


def configure(config: pytest.Config) -> None:
    """Keep such a file, if one is named."""
    if name := config.getoption("passed"):
        config.pluginmanager.register(PassedBefore(Path(config.rootpath, name)))


class PassedBefore:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._passed: set[str] = set()
        self._spoilt: set[str] = set()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        before = set(self._path.read_text().splitlines()) if self._path.exists() else set()
        config.hook.pytest_deselected(items=[each for each in items if each.nodeid in before])
        items[:] = [each for each in items if each.nodeid not in before]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self._spoilt.add(report.nodeid)
        elif report.when == "call":
            self._passed.add(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workerinput"):
            return  # the process that has all reports writes them down
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.writelines(f"{each}\n" for each in sorted(self._passed - self._spoilt))
