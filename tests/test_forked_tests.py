"""What ``scripts/mutants.py`` relies on: tests of a copy, in a process that leaves nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"
RUN = """
import json, sys
from pathlib import Path
from forked_tests import adopt_orphans, import_before, run_tests
import_before()
adopt_orphans()
print(json.dumps(run_tests(Path.cwd() / "copy", Path.cwd(), ["test_it.py"], float(sys.argv[1]))))
"""
LEAVE_A_PROCESS = """
from pathlib import Path
import subprocess
import buildbot_drydock

def test_it():
    left = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    Path(__file__).parents[1].joinpath("left").write_text(str(left.pid))
    assert buildbot_drydock.WHERE == "the copy"
"""


def run(directory: Path, test: str, limit_seconds: float) -> tuple[int | None, str]:
    copy = directory / "copy"
    copy.joinpath("test_it.py").write_text(test)
    (directory / "run.py").write_text(RUN)
    printed = subprocess.run(
        [sys.executable, "run.py", str(limit_seconds)],
        cwd=directory,
        env={"PYTHONPATH": str(SCRIPTS)},
        stdout=subprocess.PIPE,
        check=True,
    )
    status, output = json.loads(printed.stdout)
    return status, output


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    package = tmp_path / "copy" / "buildbot_drydock"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('WHERE = "the copy"\n')
    return tmp_path


def is_there(directory: Path) -> bool:
    return Path("/proc", (directory / "left").read_text()).exists()


def test_tests_are_of_the_copy_and_what_they_leave_is_ended(directory: Path) -> None:
    status, output = run(directory, LEAVE_A_PROCESS, 300.0)
    assert status == 0, output
    assert not is_there(directory)


def test_a_failed_test_is_told(directory: Path) -> None:
    status, output = run(directory, "def test_it():\n    assert []\n", 300.0)
    assert status == 1, output
    assert "FAILED test_it.py::test_it" in output


def test_what_hangs_is_ended(directory: Path) -> None:
    hanging = "import signal\n\ndef test_it():\n    signal.pause()\n"
    status, _ = run(directory, hanging, 1.0)
    assert status is None


def test_tests_of_something_else_are_not_run(directory: Path) -> None:
    (directory / "copy" / "buildbot_drydock" / "__init__.py").unlink()
    status, output = run(directory, "def test_it():\n    pass\n", 300.0)
    assert status == 3
    assert "the tests would be of" in output
