"""What limits a test in time is our own, also where it is made of Buildbot's own tests."""

from __future__ import annotations

from buildbot.test.util.integration import RunMasterBase
from twisted.trial.unittest import TestCase

from tests.conftest import PATIENCE_SECONDS


class PatienceTests(TestCase):
    def test_there_is_much_of_it(self) -> None:
        self.assertEqual(self.getTimeout(), PATIENCE_SECONDS)


class MastersPatienceTests(RunMasterBase):
    def test_there_is_as_much_of_it(self) -> None:
        self.assertEqual(self.getTimeout(), PATIENCE_SECONDS)
