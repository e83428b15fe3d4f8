"""What docs/cli.md says to type can be typed, and the reference is what the code says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.cli.invocation import Invocation
from buildbot_drydock.cli.program import GROUPS, drydock
from buildbot_drydock.cli.settings import read_file

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "cli.md").read_text("utf-8")
ACCESS = (ROOT / "docs" / "authorizations.md").read_text("utf-8")

# What differs from place to place.
STAND_INS = {"/var/lib/buildbot/master": ".", "$number": "1"}


def blocks(language: str, document: str = GUIDE) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", document, re.DOTALL)


def commands(document: str = GUIDE) -> list[list[str]]:
    """Return the arguments of each call of ``drydock`` that stands in a line of its own."""
    lines = [line for block in blocks("sh", document) for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("drydock ")]


class GuideTests(SynchronousTestCase):
    def setUp(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir()
        (directory / "ticket.json").write_text('{"ticket": "12"}')
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(directory)

    def test_each_command_is_one(self) -> None:
        self.assertGreater(len(commands()), 25)
        for arguments in (*commands(), *commands(ACCESS)):
            typed = [STAND_INS.get(each, each) for each in arguments]
            try:
                context = drydock.make_context("drydock", list(typed), obj=Invocation())
                while isinstance(context.command, click.Group):
                    name, command, rest = context.command.resolve_command(
                        context, [*context._protected_args, *context.args]
                    )
                    assert name is not None
                    assert command is not None
                    context = command.make_context(name, rest, parent=context)
            except click.ClickException as problem:
                self.fail(f"{shlex.join(arguments)}: {problem.format_message()}")

    def test_each_command_is_in_the_guide(self) -> None:
        used = {word for arguments in commands() for word in arguments}
        for group in GROUPS:
            for command in group.COMMANDS:
                if command.name not in ("blueprints", "hosts"):
                    self.assertIn(command.name, used)

    def test_the_settings_are_ones(self) -> None:
        (block,) = blocks("toml")
        Path("drydock.toml").write_text(block)
        self.assertIn("staging", read_file(Path("drydock.toml"), must_exist=True)["masters"])

    def test_completion_is_what_the_guide_says(self) -> None:
        ended = subprocess.run(
            [sys.executable, "-m", "buildbot_drydock.cli"],
            env={**os.environ, "_DRYDOCK_COMPLETE": "bash_source"},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertIn("_DRYDOCK_COMPLETE=bash_complete", ended.stdout)


class ReferenceTests(SynchronousTestCase):
    def test_the_reference_is_what_the_code_says(self) -> None:
        command = [sys.executable, str(ROOT / "scripts/generate_cli_reference.py"), "--check"]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)
