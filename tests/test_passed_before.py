import os
import shutil
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

CONFTEST = Path(__file__).with_name("conftest.py")

SOURCE = """
import os
from twisted.trial.unittest import SynchronousTestCase

class Tests(SynchronousTestCase):
    def test_that_passes(self):
        pass

    def test_that_has_no_server(self):
        if "SERVER" not in os.environ:
            self.skipTest("no server here")

    def test_that_fails(self):
        self.assertIn("MENDED", os.environ)
"""


class PassedBeforeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir(parents=True)
        shutil.copy(CONFTEST, self.directory)
        (self.directory / "pytest.ini").write_text("[pytest]\n")
        (self.directory / "test_sample.py").write_text(SOURCE)

    def run_pytest(self, *options: str, **environment: str) -> str:
        finished = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
            cwd=self.directory,
            env={**os.environ, "CI": "", "PYTHONPATH": str(CONFTEST.parents[1]), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return finished.stdout.splitlines()[-1]

    def test_what_has_passed_is_left_out_and_nothing_else_is(self) -> None:
        for processes in ("0", "2"):
            options = ("--passed", f"build/{processes}.txt", "--numprocesses", processes)
            first = self.run_pytest(*options)
            for expected in ("1 passed", "1 skipped", "1 failed"):
                self.assertIn(expected, first)
            second = self.run_pytest(*options, SERVER="yes", MENDED="yes")
            self.assertIn("2 passed", second)
            third = self.run_pytest(*options)
            self.assertNotIn("failed", third)
            self.assertNotIn("passed", third)

    def test_without_the_option_all_run(self) -> None:
        for _ in range(2):
            self.assertIn("1 passed", self.run_pytest())
