"""The provider of the tutorial works, and the tutorial shows what works."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.errors import (
    HostError,
    Misconfigured,
    NoCapacity,
    RequestRejected,
    RetryLater,
)
from buildbot_drydock.latent import ec2
from buildbot_drydock.model import Observed

DOCS = Path(__file__).resolve().parents[2] / "docs"
EXAMPLES = DOCS / "examples"
TUTORIAL = DOCS / "writing-a-provider.md"
assert ec2.__file__ is not None
REAL_ONE = Path(ec2.__file__).parent
_BLOCK = re.compile(r"<!-- from examples/(\S+) -->\n```python\n(.*?)```", re.DOTALL)


class TutorialTests(SynchronousTestCase):
    def test_its_provider_passes_the_contract(self) -> None:
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("--rootdir", str(EXAMPLES), "-c", "/dev/null", str(EXAMPLES)),
        ]
        ended = subprocess.run(command, capture_output=True, text=True, cwd=Path.cwd(), timeout=600)
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)
        passed = re.search(r"(\d+) passed", ended.stdout)
        assert passed is not None, ended.stdout
        self.assertGreater(int(passed[1]), 20)

    def test_its_code_is_that_of_the_examples(self) -> None:
        text = TUTORIAL.read_text("utf-8")
        blocks = _BLOCK.findall(text)
        self.assertEqual(len(blocks), text.count("```python"), "a block does not say where from")
        self.assertGreater(len(blocks), 5)
        for name, code in blocks:
            self.assertIn(_layout_apart(code), _layout_apart((EXAMPLES / name).read_text()), name)

    def test_it_shows_all_of_the_provider(self) -> None:
        blocks = _BLOCK.findall(TUTORIAL.read_text("utf-8"))
        shown = {line for _, code in blocks for line in _layout_apart(code).splitlines()}
        code = _layout_apart((EXAMPLES / "farm_provider.py").read_text())
        unshown = [each for each in code.splitlines() if each not in shown]
        self.assertEqual(
            [each for each in unshown if not each.startswith(("import ", "from ", '"""', "T = "))],
            [],
        )

    def test_it_names_each_module_of_the_real_one_and_no_other(self) -> None:
        table = TUTORIAL.read_text("utf-8").partition("## 9. ")[2]
        rows = [line for line in table.splitlines() if line.startswith("| `")]
        named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
        there = {path.stem for path in REAL_ONE.glob("*.py")} - {"__init__"}
        self.assertEqual(named, there)

    def test_it_names_each_field_of_what_is_observed_and_each_error(self) -> None:
        text = TUTORIAL.read_text("utf-8")
        for field in fields(Observed):
            self.assertRegex(text, rf"\n\| .*`{field.name}`.* \|")
        for error in (RetryLater, NoCapacity, Misconfigured, RequestRejected, HostError):
            self.assertIn(f"`{error.__name__}", text)


def _layout_apart(code: str) -> str:
    """Return code without indentation and empty lines: methods are shown without their class."""
    return "".join(f"{line.strip()}\n" for line in code.splitlines() if line.strip())
