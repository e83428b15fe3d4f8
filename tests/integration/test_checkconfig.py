"""What ``buildbot checkconfig`` says of a master.cfg with Drydock in it.

Each file in ``tests/broken_configs`` holds what it expects to be told: ``# expect:`` begins an
error, and each ``# and:`` is to be found in the same one.
"""

import io
import re
import socket
import sqlite3
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

import sqlalchemy
from buildbot.config.errors import ConfigErrors
from buildbot.config.master import FileLoader
from buildbot.configurators import ConfiguratorBase
from buildbot.scripts.checkconfig import checkconfig
from buildbot.util import ComparableMixin
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock import Drydock, LocalProcesses, WorkerPool
from buildbot_drydock.latent.worker import DrydockWorker

BROKEN = sorted((Path(__file__).parents[1] / "broken_configs").glob("*.cfg"))

GOOD = """
from buildbot.plugins import schedulers, util

from buildbot_drydock import (
    SSH,
    Drydock,
    EC2Pool,
    Host,
    HostPool,
    Image,
    LocalProcesses,
    Schedule,
    Spot,
    SyntheticPool,
    Volume,
    WorkerPool,
)

drydock = Drydock(
    blueprints=[
        HostPool(
            "lab",
            hosts=[
                Host("build1", address="10.0.0.5", labels={"os": "debian"}, slots=2),
                Host("build2", address="10.0.0.6", jump="build1", disabled="disk swap"),
            ],
            ssh=SSH(user="ci", known_hosts="/dev/null", tunnel_to="localhost:9989"),
        ),
        EC2Pool(
            "aws",
            region="eu-central-1",
            image=Image(owner="136693071363", name="debian-12-amd64-*"),
            instance_types=["m7i.large", "m6i.large"],
            zones=["eu-central-1a", "eu-central-1b"],
            volumes=[Volume("root", size=50)],
            spot=Spot(),
            ssh=SSH(user="admin"),
        ),
        LocalProcesses("here", limit=4, leases_per_resource=2, labels={"os": "linux", "kvm": True}),
        SyntheticPool(
            "cloud",
            limit=9,
            choices={"image": ["bookworm", "trixie"]},
            schedule=[
                Schedule("0 8 * * mon-fri", min_ready=5, timezone="Europe/Berlin"),
                Schedule("0 19 * * *", min_ready=0, limit=2, timezone="Europe/Berlin"),
            ],
        ),
    ],
    workers=[
        WorkerPool("linux", size=SIZE, requires={"os": "linux", "kvm": True}),
        WorkerPool("image", size=2, requires={"image": util.Property("image")}, blueprints=["cloud"]),
        WorkerPool("one", size=1, requires={"host": "build1"}),
        WorkerPool("any", size=1, requires=util.Property("requires"), name_prefix="eu-"),
    ],
    lease_seconds=200,
)
BuildmasterConfig = {
    "configurators": [drydock],
    "builders": [
        util.BuilderConfig(
            "tests",
            workernames=[name for pool in ("linux", "image", "one", "any") for name in drydock.workernames(pool)],
            factory=util.BuildFactory(),
        )
    ],
    "schedulers": [schedulers.ForceScheduler("force", ["tests"])],
    "protocols": {"pb": {"port": 9989}},
    "buildbotNetUsageData": None,
}
"""


def expectations(path: Path) -> list[list[str]]:
    """Return what is to be found in each error."""
    found: list[list[str]] = []
    for kind, text in re.findall(r"^# (expect|and): (.+)$", path.read_text("utf-8"), re.M):
        if kind == "expect":
            found.append([text])
        else:
            found[-1].append(text)
    return found


class CheckConfig(SynchronousTestCase):
    def check(self, path: Path) -> tuple[int, list[str]]:
        """Run checkconfig on a file; return its exit status and what it printed."""
        printed = io.StringIO()
        with redirect_stdout(printed), redirect_stderr(printed):
            status = checkconfig._orig({"configFile": str(path), "quiet": False})  # type: ignore[attr-defined]
        return status, printed.getvalue().splitlines()

    def written(self, text: str) -> Path:
        path = Path(self.mktemp())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path.absolute()

    def good(self, size: int = 3) -> Path:
        return self.written(GOOD.replace("SIZE", str(size)))


class BrokenConfigTests(CheckConfig):
    def test_there_are_at_least_fifteen_and_one_has_three_errors(self) -> None:
        self.assertGreaterEqual(len(BROKEN), 15)
        self.assertTrue(any(len(expectations(path)) >= 3 for path in BROKEN))

    def test_every_file_expects_blueprint_or_pool_field_and_remedy(self) -> None:
        for path in BROKEN:
            for first, *others in expectations(path):
                self.assertRegex(
                    first, r"^((blueprint|pool|worker) '[^']+'|Drydock), field '\w+': "
                )
                self.assertTrue(any(text.startswith("Remedy: ") for text in others), path.name)

    def test_every_broken_file_is_answered_with_what_it_expects_and_nothing_else(self) -> None:
        for path in BROKEN:
            status, printed = self.check(path)
            self.assertEqual((status, printed[0]), (1, "Configuration Errors:"), path.name)
            errors, expected = printed[1:], expectations(path)
            self.assertEqual(len(errors), len(expected), f"{path.name}: {errors}")
            for texts in expected:
                self.assertTrue(
                    any(all(text in error for text in texts) for error in errors),
                    f"{path.name}: {texts} not in {errors}",
                )

    def test_the_real_command_prints_all_errors_of_a_file(self) -> None:
        (path,) = (path for path in BROKEN if path.name == "three_errors.cfg")
        start = "from buildbot.scripts.runner import run; run()"
        command = [sys.executable, "-c", start, "checkconfig", str(path)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
        self.assertEqual(ended.returncode, 1, ended.stdout)
        for texts in expectations(path):
            for text in texts:
                self.assertIn(text, ended.stderr)

    def test_errors_before_an_exception_in_the_file_are_printed_with_it(self) -> None:
        status, printed = self.check(
            self.written(
                "from buildbot_drydock import *\n"
                "Drydock([LocalProcesses('linux', limit=0), LocalProcesses('b', limt=0)])\n"
                "no_such_name\n"
            )
        )
        self.assertEqual(status, 1)
        for words in ("field 'limit'", "field 'limt'", "no_such_name"):
            self.assertTrue(any(words in line for line in printed), printed)
        self.flushLoggedErrors(NameError)


class GoodConfigTests(CheckConfig):
    def test_a_good_file_is_good(self) -> None:
        self.assertEqual(self.check(self.good()), (0, ["Config file is good!"]))

    def test_no_connection_and_no_database_is_opened(self) -> None:
        def refuse(*arguments: Any, **others: Any) -> NoReturn:
            raise AssertionError(f"checkconfig opened something: {arguments}")

        with (
            mock.patch.object(socket.socket, "connect", refuse),
            mock.patch.object(socket.socket, "bind", refuse),
            mock.patch.object(socket, "getaddrinfo", refuse),
            mock.patch.object(sqlite3, "connect", refuse),
            mock.patch.object(sqlalchemy, "create_engine", refuse),
            mock.patch.object(subprocess, "Popen", refuse),
        ):
            self.assertEqual(self.check(self.good()), (0, ["Config file is good!"]))

    def test_nothing_is_written(self) -> None:
        path = self.good()
        before = sorted(path.parent.rglob("*"))
        self.check(path)
        self.assertEqual(sorted(path.parent.rglob("*")), before)

    def test_files_are_found_from_wherever_checkconfig_is_called(self) -> None:
        path = self.written(
            GOOD.replace("SIZE", "3").replace('"lab",', '"lab", inventory="hosts.yaml",')
        )
        master = path.with_name("master")
        master.mkdir()
        path.rename(master / "master.cfg")
        (master / "buildbot.tac").write_text("configfile = 'master.cfg'\n")
        (master / "hosts.yaml").write_text("build3: {address: 10.0.0.7}\n")
        self.assertEqual(self.check(master), (0, ["Config file is good!"]))
        (master / "hosts.yaml").write_text("build3: {address: 10.0.0.7, slots: 0}\n")
        status, (_, error) = self.check(master)
        self.assertEqual(status, 1)
        self.assertIn("blueprint 'lab', field 'inventory': hosts.yaml: host 'build3'", error)

    def load(self, path: Path) -> Any:
        return FileLoader(str(path.parent), path.name).loadConfig()

    def test_the_configuration_has_the_workers_and_the_service(self) -> None:
        loaded = self.load(self.good())
        names = ["linux-001", "linux-002", "linux-003", "image-001", "image-002", "one-001"]
        names.append("eu-any-001")
        self.assertEqual([worker.name for worker in loaded.workers], names)
        self.assertEqual({type(worker) for worker in loaded.workers}, {DrydockWorker})
        self.assertEqual(loaded.builders[0].workernames, names)
        self.assertEqual(list(loaded.services), ["drydock"])

    def test_workers_are_told_what_their_pool_says(self) -> None:
        linux, *_, image, _, _ = self.load(self.good()).workers
        self.assertEqual(linux._config_kwargs["requires"], {"os": "linux", "kvm": "true"})
        self.assertEqual(image._config_kwargs["blueprints"], ("cloud",))

    def test_loading_the_same_file_again_changes_nothing(self) -> None:
        path = self.good()
        first, second = self.load(path), self.load(path)
        for old, new in zip(first.workers, second.workers, strict=True):
            self.assertTrue(ComparableMixin.isEquivalent(old, new), old)
        services = [loaded.services["drydock"] for loaded in (first, second)]
        self.assertTrue(ComparableMixin.isEquivalent(*services))

    def test_a_changed_field_changes_the_service(self) -> None:
        first = self.load(self.good())
        changed = GOOD.replace("SIZE", "3").replace("limit=4", "limit=5")
        second = self.load(self.written(changed))
        services = [loaded.services["drydock"] for loaded in (first, second)]
        self.assertFalse(ComparableMixin.isEquivalent(*services))

    def test_a_pool_that_grows_leaves_the_workers_it_had_as_they_were(self) -> None:
        small, large = self.load(self.good(size=2)), self.load(self.good(size=4))
        after = {worker.name: worker for worker in large.workers}
        for worker in small.workers:
            self.assertTrue(ComparableMixin.isEquivalent(worker, after[worker.name]), worker)
        self.assertEqual(set(after) - {w.name for w in small.workers}, {"linux-003", "linux-004"})


class DrydockTests(SynchronousTestCase):
    def test_it_is_a_configurator(self) -> None:
        self.assertIsInstance(Drydock(), ConfiguratorBase)

    def test_outside_a_configuration_all_errors_are_raised_as_one(self) -> None:
        with self.assertRaises(ConfigErrors) as caught:
            Drydock([LocalProcesses("linux", limit="3", min_ready=-1)], [WorkerPool("x", size=0)])
        self.assertEqual(len(caught.exception.errors), 3)

    def test_a_pool_that_its_builds_decide_about_may_be_satisfied_by_any(self) -> None:
        from buildbot.plugins import util

        requires = {"os": util.Property("os")}
        drydock = Drydock([LocalProcesses("x")], [WorkerPool("linux", requires=requires, size=1)])
        self.assertEqual(drydock.problems, [])

    def test_a_value_among_the_choices_satisfies(self) -> None:
        local = LocalProcesses("x", choices={"image": ["a", "b"]})
        self.assertEqual(Drydock([local], [WorkerPool("y", requires={"image": "b"})]).problems, [])
        with self.assertRaises(ConfigErrors):
            Drydock([local], [WorkerPool("y", requires={"image": "c"})])

    def test_only_the_blueprints_that_a_pool_names_can_satisfy_it(self) -> None:
        blueprints = [LocalProcesses("a", labels={"os": "x"}), LocalProcesses("b")]
        pool = WorkerPool("y", requires={"os": "x"}, blueprints=["b"])
        with self.assertRaises(ConfigErrors) as caught:
            Drydock(blueprints, [pool])
        self.assertIn("b never fits: os=x is required, it offers nothing", str(caught.exception))
        self.assertNotIn("a never fits", str(caught.exception))

    def test_only_blueprints_of_hosts_can_satisfy_a_pool(self) -> None:
        class Copies(LocalProcesses):
            provides = "working-copy"

        with self.assertRaises(ConfigErrors) as caught:
            Drydock([Copies("copies")], [WorkerPool("linux")])
        self.assertIn("there is no blueprint of hosts", str(caught.exception))

    def test_names_differ_in_more_than_upper_and_lower_case(self) -> None:
        with self.assertRaises(ConfigErrors) as caught:
            Drydock([LocalProcesses("linux"), LocalProcesses("Linux")])
        self.assertIn("2 blueprints have this name", str(caught.exception))

    def test_a_lease_is_renewed_at_least_twice_in_its_life(self) -> None:
        self.assertEqual(Drydock(lease_seconds=121, renew_interval=60).problems, [])
        with self.assertRaises(ConfigErrors):
            Drydock(lease_seconds=120, renew_interval=60)

    def test_a_pool_without_any_blueprint_is_refused(self) -> None:
        with self.assertRaises(ConfigErrors) as caught:
            Drydock(workers=[WorkerPool("linux")])
        self.assertIn("there is no blueprint of hosts", str(caught.exception))
