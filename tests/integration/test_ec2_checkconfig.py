"""What ``buildbot checkconfig`` says of an ``EC2Pool`` whose fields are wrong, one at a time."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock import SSH
from buildbot_drydock.latent.ec2 import fields
from buildbot_drydock.latent.ec2.pool_fields import EC2PoolFields
from buildbot_drydock.latent.written import Written
from tests.ec2_wrong_configs import ALL_WRONG, VALUES, cases

ROOT = Path(__file__).resolve().parents[2]


@cache
def answers() -> dict[str, Any]:
    """Have all cases read by one process, whose network is closed."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.ec2_wrong_configs"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if ended.returncode:
        raise AssertionError(f"{ended.stdout}\n{ended.stderr}")
    answer: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return answer


class TestEachFieldWrong(SynchronousTestCase):
    def test_each_field_of_the_pool_is_among_the_cases(self) -> None:
        self.assertEqual(EC2PoolFields.model_fields.keys() - ALL_WRONG.keys(), set())
        self.assertEqual(ALL_WRONG.keys() - EC2PoolFields.model_fields.keys(), set())

    def test_so_is_each_field_of_what_stands_in_it(self) -> None:
        written = {each for each in vars(fields).values() if _is_written(each)}
        self.assertEqual({value_class for value_class, *_ in VALUES}, {*written, SSH})
        for value_class, fields_class, _, wrong in VALUES:
            self.assertEqual(fields_class.model_fields.keys(), wrong.keys(), value_class)

    def test_a_good_one_is_good(self) -> None:
        self.assertEqual(answers()["good"], ["0", "Config file is good!"])

    def test_each_is_answered_by_one_error_with_blueprint_field_and_remedy(self) -> None:
        told = answers()["told"]
        self.assertEqual(len(told), len(list(cases())))
        for field, inner, (status, head, *errors) in told:
            self.assertEqual((status, head), ("1", "Configuration Errors:"), (field, errors))
            self.assertEqual(len(errors), 1, (field, errors))
            self.assertIn(f"blueprint 'aws', field '{field}': ", errors[0])
            self.assertRegex(errors[0], r"Remedy: \w.*\.$")
            if inner:
                self.assertIn(inner, errors[0].partition(": ")[2])

    def test_the_network_was_not_used_and_would_have_been_noticed(self) -> None:
        self.assertEqual(answers()["used"], [])
        self.assertGreater(answers()["control"], 0)


def _is_written(value: object) -> bool:
    """Tell whether something is a class whose objects users write in a pool."""
    return isinstance(value, type) and issubclass(value, Written) and value is not Written
