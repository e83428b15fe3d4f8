"""Set-ups that are broken in as many ways: what is wrong, and what to do, is told for each.

Those that a running master has are all of one master. ``SETUPS`` lists them with the words that
name cause and remedy.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from tests.cli_masters import ANA, EVE, ROOT, Ended, MasterTestCase, Running

MOST_LOOKS = 60  # each takes about a second

# By blueprint: why a lease of it waits, and what is to be done.
SETUPS = {
    "lab": ("the private key .* can't be read", "mend the file or the field"),
    "local": ("local is misconfigured: .*Not a directory", "give the master's user that directory"),
    "aws": ("the master has no credentials for AWS", "give the blueprint a profile"),
    "never": ("its host failed to start", "read the error; it is tried again by itself"),
    "sold-out": ("all 0 hosts of the synthetic cloud are in use", "raise its capacity"),
    "dear": ("dear spends 2 of at most 3 an hour, and another costs 2", "raise what dear may cost"),
    "list": ("its configuration allows builder/release", "have `allow` of list name the builder"),
    "asked": ("needs approval for person/.*, by the lab", "drydock authorize approve -b asked"),
    "paused": ("paused is paused by ", "ask who did it, or: drydock resume paused"),
    "busy": ("busy is full: 1 of 1 slots leased, limit 1", "raise `limit` of busy"),
    "docker": ("Error while fetching server API version", "see whether the engine runs"),
}
# What is wrong whoever waits, and found without that.
OF_ALL = {
    "local": (
        "blueprint local: its hosts can't be listed",
        "give the master's user that directory",
    ),
    "aws": ("blueprint aws: its? .*no credentials for AWS", "the blueprint a profile"),
    "docker": ("blueprint docker: .*fetching server API", "see whether the engine runs"),
    "lab": ("host build1: it is out of service: failed while", "do what the error says"),
    "mute": (
        "no worker could be started on it, .*: buildbot-worker did not log in within 5 s",
        "`masterFQDN` of the pool",
    ),
}


class RunningMasterTests(MasterTestCase):
    config: ClassVar[Path] = ROOT / "tests" / "broken_setups.cfg"

    def begin(self, *arguments: str, **options: Any) -> Running:
        # As nobody has to log in, nobody does; and AWS shall not be looked for.
        options["user"] = ""
        return super().begin(*arguments, **options)

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.master.force()

    def waiting_lease(self, blueprint: str) -> str:
        before = self.newest_lease()
        self.begin("lease", "-b", blueprint)
        number = self.until(
            lambda: max((row["leaseid"] for row in self.of(blueprint)), default=0) or None,
            "a lease",
        )
        self.assertGreater(number, before)
        return str(number)

    def of(self, blueprint: str) -> list[dict[str, Any]]:
        rows = self.master.rows("drydock_leases?status=pending&order=-leaseid")
        return [row for row in rows if row["blueprints"] == [blueprint]]

    def tells(self, arguments: tuple[str, ...], cause: str, remedy: str) -> Ended:
        """Wait until what a command writes names cause and remedy."""
        last: list[Ended] = []

        def told() -> bool:
            last[:] = [self.call(*arguments)]
            shown = " ".join(last[0].out.split())
            return re.search(cause, shown) is not None and remedy in shown

        for _ in range(MOST_LOOKS):
            if told():
                return last[0]
        raise AssertionError(f"it never told {cause!r} and {remedy!r}: {last}")

    def test_why_names_cause_and_remedy_of_each_wait(self) -> None:
        self.call("pause", "paused")
        for name in ("busy", "dear"):
            self.succeeds("lease", "-b", name, "--keep")
        for blueprint, (cause, remedy) in SETUPS.items():
            self.tells(("why", self.waiting_lease(blueprint)), cause, remedy)

    def test_doctor_names_what_is_wrong_whether_or_not_somebody_waits(self) -> None:
        for cause, remedy in OF_ALL.values():
            ended = self.tells(("doctor",), cause, remedy)
            self.assertEqual(ended.code, 1)

    def test_why_names_the_cause_of_a_builder_whose_workers_cannot_reach_the_master(self) -> None:
        ended = self.tells(
            ("why", "tests"),
            r"did not log in within 5 s; see that its host reaches the master at 127\.0\.0\.2:\d+",
            "`masterFQDN` of the pool",
        )
        self.assertIn("1 build request waiting", ended.out)

    def test_why_names_the_cause_of_a_lease_that_never_fits(self) -> None:
        self.assertEqual(self.call("lease", "-r", "os=cpm").code, 8)
        lease = self.master.rows("drydock_leases?status=destroyed&order=-leaseid&limit=1")[0]
        self.tells(
            ("why", str(lease["leaseid"])), "never fits: os=cpm is required", "change its `labels`"
        )


class AccessTests(MasterTestCase):
    def test_a_wrong_password(self) -> None:
        ended = self.call("doctor", user=EVE)
        self.assertEqual(ended.code, 1)
        self.assertIn("does not accept the password of eve@example.org", ended.out)
        self.assertIn("Remedy: see that user and password are those", ended.out)

    def test_a_password_that_others_can_read(self) -> None:
        file = self.directory / "open"
        shutil.copy(self.directory / ANA, file)
        file.chmod(0o644)
        ended = self.call("doctor", more={"DRYDOCK_PASSWORD_FILE": str(file)}, user="")
        self.assertIn(f"others may read {file}", ended.out)
        self.assertIn(f"Remedy: chmod 600 {file}", ended.out)

    def test_a_master_that_does_not_run(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
        ended = self.begin("doctor", master=f"http://127.0.0.1:{port}/").ended()
        self.assertEqual(ended.code, 1)
        self.assertIn("can't be reached", ended.out)
        self.assertIn(
            "Remedy: see that the master runs, and that --master is its address", ended.out
        )


class OfflineTests(SynchronousTestCase):
    """What keeps a master from starting is found in its directory."""

    def setUp(self) -> None:
        self.basedir = Path(self.mktemp()).resolve()
        self.basedir.mkdir()
        self.buildbot("create-master", "--config=master.cfg", str(self.basedir))
        self.configure()

    def buildbot(self, *arguments: str) -> None:
        code = (
            "import sys; from buildbot.scripts.runner import run; sys.argv[0] = 'buildbot'; run()"
        )
        subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)

    def configure(self, before: str = "", after: str = "") -> None:
        text = (ROOT / "tests" / "broken_setups_offline.cfg").read_text("utf-8")
        assert before in text
        (self.basedir / "master.cfg").write_text(text.replace(before, after) if before else text)

    def finds(self, cause: str, remedy: str) -> None:
        command = ["doctor", "--offline", "--json", "--basedir", str(self.basedir)]
        ended = subprocess.run(
            [sys.executable, "-m", "buildbot_drydock.cli", *command],
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(ended.returncode, 1, ended.stdout)
        wrong = [each for each in json.loads(ended.stdout) if each["severity"] == "problem"]
        self.assertTrue(
            any(cause in each["message"] and remedy in str(each) for each in wrong), wrong
        )

    def test_a_field_that_is_misspelt(self) -> None:
        self.configure("limit=", "limt=")
        self.finds("blueprint 'linux', field 'limt': there is no such field", "write 'limit'")

    def test_a_database_that_was_never_made(self) -> None:
        (self.basedir / "state.sqlite").unlink()
        self.finds("there is no database", f"buildbot upgrade-master {self.basedir} makes it")
        self.assertFalse((self.basedir / "state.sqlite").exists())  # it changes nothing

    def test_a_database_server_that_does_not_run(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
        url = f"postgresql+psycopg2://bot:s3cret@127.0.0.1:{port}/bot"
        self.configure("sqlite:///state.sqlite", url)
        self.finds("can't be read: connection to server", "see that the server runs")

    def test_a_database_of_a_later_version(self) -> None:
        connection = sqlite3.connect(self.basedir / "state.sqlite")
        connection.execute("CREATE TABLE drydock_alembic_version (version_num VARCHAR(32))")
        connection.execute("INSERT INTO drydock_alembic_version VALUES ('9999')")
        connection.commit()
        connection.close()
        self.finds("a later version has upgraded", "install that version of buildbot-drydock")
