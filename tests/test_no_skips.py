import os
import shutil
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

CONFTEST = Path(__file__).with_name("conftest.py")

PYTEST_STYLE = """
import pytest
@pytest.mark.skip(reason="no frobnicator here")
def test_it(): pass
"""
TRIAL_STYLE = """
from twisted.trial.unittest import SkipTest, TestCase
class Tests(TestCase):
    async def test_it(self): raise SkipTest("no frobnicator here")
"""
WHOLE_MODULE = """
import pytest
pytest.skip("no frobnicator here", allow_module_level=True)
"""
PASSING = """
import pytest
def test_it(): pass
@pytest.mark.xfail
def test_expected(): assert False
"""


class NoSkipsTests(SynchronousTestCase):
    def run_pytest(self, source: str, *options: str, CI: str) -> "subprocess.CompletedProcess[str]":
        directory = Path(self.mktemp())
        directory.mkdir(parents=True)
        shutil.copy(CONFTEST, directory)
        (directory / "pytest.ini").write_text("[pytest]\n")
        (directory / "test_sample.py").write_text(source)
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
            cwd=directory,
            env={**os.environ, "CI": CI, "PYTHONPATH": str(CONFTEST.parents[1])},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def test_in_ci_a_skip_fails_the_run_and_says_which_test_and_why(self) -> None:
        for source in (PYTEST_STYLE, TRIAL_STYLE, WHOLE_MODULE):
            finished = self.run_pytest(source, CI="true")
            self.assertNotIn(finished.returncode, (0, 5), finished.stdout)
            self.assertIn("test_sample.py", finished.stdout)
            self.assertIn("no frobnicator here", finished.stdout)
            self.assertIn("nothing may be", finished.stdout)

    def test_the_option_does_it_outside_ci(self) -> None:
        self.assertEqual(self.run_pytest(PYTEST_STYLE, "--no-skips", CI="").returncode, 1)

    def test_elsewhere_a_skip_is_a_skip(self) -> None:
        finished = self.run_pytest(TRIAL_STYLE, CI="")
        self.assertEqual(finished.returncode, 0, finished.stdout)
        self.assertIn("1 skipped", finished.stdout)

    def test_passing_and_expectedly_failing_tests_pass_in_ci(self) -> None:
        finished = self.run_pytest(PASSING, CI="true")
        self.assertEqual(finished.returncode, 0, finished.stdout)
