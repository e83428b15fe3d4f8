"""The names for master.cfg: each is there, and costs nobody anything who does not use it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import buildbot_drydock

SOURCE = Path(buildbot_drydock.__file__).read_text("utf-8")
INTERRUPTED = "raise KeyboardInterrupt\n"


class NameTests(SynchronousTestCase):
    def test_each_name_is_there_and_the_same_each_time(self) -> None:
        for name in buildbot_drydock.__all__:
            found = getattr(buildbot_drydock, name)
            self.assertEqual(found.__name__, name)
            self.assertIs(getattr(buildbot_drydock, name), found)
            self.assertIn(name, dir(buildbot_drydock))

    def test_what_type_checkers_see_is_what_there_is(self) -> None:
        imported = {
            (each.name, node.module)
            for node in ast.walk(ast.parse(SOURCE))
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("buildbot_")
            for each in node.names
        }
        self.assertEqual({name for name, _ in imported}, set(buildbot_drydock.__all__))
        for name, module in imported:
            found = getattr(buildbot_drydock, name)
            self.assertIs(getattr(sys.modules[module or ""], name), found)

    def test_all_can_be_imported_at_once(self) -> None:
        names: dict[str, object] = {}
        exec("from buildbot_drydock import *", names)  # as a master.cfg may do
        self.assertLessEqual(set(buildbot_drydock.__all__), names.keys())

    def test_what_is_none_of_them_is_missing(self) -> None:
        with self.assertRaisesRegex(AttributeError, "'buildbot_drydock' has no attribute 'Dry'"):
            buildbot_drydock.Dry  # type: ignore[attr-defined]  # noqa: B018

    def test_plugins_are_the_same(self) -> None:
        found = {
            each.name: each.load()
            for each in metadata.entry_points(group="buildbot.util")
            if each.value.startswith("buildbot_drydock")
        }
        both = found.keys() & set(buildbot_drydock.__all__)
        self.assertIn("Drydock", both)
        for name in both:
            self.assertIs(found[name], getattr(buildbot_drydock, name))


class CommandTests(SynchronousTestCase):
    def run_with(self, *broken: str) -> subprocess.CompletedProcess[str]:
        """Run the command where Ctrl-C is pressed as soon as one of these is imported."""
        directory = Path(self.mktemp())
        directory.mkdir()
        for name in broken:
            (directory / f"{name}.py").write_text(INTERRUPTED)
        paths = [str(directory.resolve()), str(Path(buildbot_drydock.__file__).parents[1])]
        return subprocess.run(
            [sys.executable, "-m", "buildbot_drydock.cli", "--version"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            check=False,
        )

    def test_the_command_imports_nothing_of_a_masters(self) -> None:
        ended = self.run_with("buildbot", "twisted", "sqlalchemy", "pydantic", "zope")
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        self.assertIn("drydock ", ended.stdout)

    def test_ctrl_c_while_it_imports_is_no_traceback(self) -> None:
        for name in ("click", "rich", "httpx"):
            ended = self.run_with(name)
            self.assertEqual((ended.returncode, ended.stderr), (130, ""), name)
