"""What ``drydock doctor`` says of a master's database."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.store.inspection import Inspected, inspect, look_for_file
from buildbot_drydock.store.migrations import VERSION_TABLE, known_revisions


class InspectionTests(SynchronousTestCase):
    def inspected(self, *statements: str) -> Inspected:
        engine = sa.create_engine(f"sqlite:///{self.mktemp()}")
        self.addCleanup(engine.dispose)
        with engine.begin() as connection:
            for each in ("CREATE TABLE other (x INTEGER)", *statements):
                connection.exec_driver_sql(each)
        return inspect(engine)

    def at(self, revision: str) -> Inspected:
        return self.inspected(
            f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL)",
            f"INSERT INTO {VERSION_TABLE} VALUES ('{revision}')",
        )

    def test_the_newest_revision_is_fine(self) -> None:
        found = self.at(known_revisions()[0])
        self.assertTrue(found.is_fine)
        self.assertIn("is current", found.message)

    def test_what_the_master_will_do_is_fine(self) -> None:
        self.assertIn("makes them when it starts", self.inspected().message)
        found = self.at(known_revisions()[-1])
        self.assertTrue(found.is_fine)
        self.assertIn(f"upgrades it to {known_revisions()[0]}", found.message)

    def test_a_database_of_a_later_version_is_a_problem(self) -> None:
        found = self.at("r9999")
        self.assertFalse(found.is_fine)
        self.assertIn("r9999", found.message)
        self.assertIn("install that version", found.remedy)

    def test_one_that_is_not_there_is_not_made(self) -> None:
        basedir = Path(self.mktemp()).resolve()
        basedir.mkdir()
        for url in ("sqlite:///state.sqlite", f"sqlite:///{basedir}/state.sqlite"):
            found = look_for_file(url, str(basedir))
            assert found is not None
            self.assertIn(f"{basedir}/state.sqlite", found.message)
        (basedir / "state.sqlite").touch()
        self.assertIsNone(look_for_file("sqlite:///state.sqlite", str(basedir)))

    def test_what_is_no_file_is_not_looked_for(self) -> None:
        for url in ("sqlite://", "sqlite:///:memory:", "postgresql://bot:x@host/bot"):
            self.assertIsNone(look_for_file(url, "/nowhere"))

    def test_one_that_is_none_is_a_problem(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(b"nothing of the kind " * 100)
        engine = sa.create_engine(f"sqlite:///{path}")
        self.addCleanup(engine.dispose)
        found = inspect(engine)
        self.assertFalse(found.is_fine)
        self.assertIn("not a database", found.message)
