#!/usr/bin/env python
"""Kill a real master with SIGKILL while its instances of EC2 come and go, and count what that costs.

``DRYDOCK_KILLS`` says how often (50). EC2 is the test server, of whose calls 5 % each are throttled,
lose their reply, or find no capacity. Builds arrive all the time, and instances that are idle for a
few seconds are let go, so there are always some that come and some that go. Counted by the server's
own list and by SQL:

* ``asked``: resources for which the rows say that an instance was wanted; ``launched``: instances;
* ``orphans``: living instances without a living row, once the grace time after a restart is over;
* ``doubled``: tokens with two living instances at the end; ``twins_seen``: at any time;
* ``thrown_away``: instances that were ended for any other reason than that they were idle. Nothing
  ever fails by itself here, so a dead master is what is left.

Then all that is done once more to a master with Buildbot's ``EC2LatentWorker``, for comparison. Its
instances have no rows and no tokens. ``asked`` counts the client tokens that it used, ``orphans``
what lives on once no worker is in use any more, ``doubled`` workers with two of these, and
``thrown_away`` what lived when the master was killed and never ran a build again.

Writes ``build/torture-ec2.json``. Exits with 1 unless of Drydock's own figures ``orphans``,
``doubled`` and ``thrown_away`` are 0, and no more was launched than asked for.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import threading
import urllib.error
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from demo_master import Master

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # for what tests share

from local_instances import VARIABLE, LocalInstances, free_port, worker_script  # noqa: E402

from tests.ec2 import Instance, faults, real_time_server  # noqa: E402
from tests.ec2.cloud import Timings  # noqa: E402

CONFIG = ROOT / "scripts" / "torture_ec2.cfg"
RESULTS = ROOT / "build" / "torture-ec2.json"
SIZE = 4
TYPES = ["m7i.large", "m6i.large"]
IDLE_SECONDS = 1
# How many builds at a time until the next kill, and between how many looks that comes. Without any,
# there is time for instances to be given back; with some, for new ones to be launched.
BUSY, BUSY_LOOKS = (1, 2, SIZE, SIZE), (5, 80)
QUIET, QUIET_LOOKS = (0,), (30, 150)
PASSWORD = "torture"
FAULTS = 0.05  # of the calls, each
LAUNCHES = ("RunInstances", "CreateFleet")
GRACE_SECONDS = 90.0
LONG_IDLE_SECONDS = 20.0  # after which Buildbot has ended all that it knows of
LAST_BUILDS_SECONDS = 300.0
TOKEN = "drydock:token"
IDLE = re.compile(r"it was idle for \d+ s")
# Seconds, and nothing is at once: what is killed in between has to be found again.
TIMINGS = Timings(pending=1.0, listing_lag=1.0, tag_lag=0.5, shutting_down=1.0)


class Torture:
    """A master of one kind, its instances, and what is counted."""

    name = "drydock"

    def __init__(self, directory: Path, kills: int, seed: int) -> None:
        self.directory = directory
        self.kills = kills
        self.random = Random(seed)
        self.pause = threading.Event()
        self.server = real_time_server(timings=TIMINGS, seed=seed)
        self.instances = LocalInstances(self.server, directory / "instances")
        self.master = Master(directory / "master", CONFIG, f"http://127.0.0.1:{free_port()}/")
        self.worker_port = free_port()
        self.figures = Counter(kills=0, orphans=0, thrown_away=0)
        self.twins: set[str] = set()
        self.wanted = 0  # builds at a time

    def run(self) -> dict[str, int]:
        with self.server, self.instances:
            os.environ.update(self.server.environment())
            for fault in (faults.throttled(), faults.reply_lost()):
                self.server.faults.sometimes("*", fault, probability=FAULTS)
            for action in LAUNCHES:
                self.server.faults.sometimes(action, faults.no_capacity(), probability=FAULTS)
            self.prepare()
            try:
                for number in range(1, self.kills + 1):
                    self.one_kill()
                    print(
                        f"{self.name}: {number} of {self.kills} kills: {self.state()}", flush=True
                    )
                self.finish()
            finally:
                if self.master.process is not None:  # something went wrong before it was stopped
                    self.master.kill()
            self.count()
            self.see_that_it_was_done()
        shutil.rmtree(self.directory)
        return {
            "kills": self.figures["kills"],
            "asked": self.figures["asked"],
            "launched": self.server.inspector.launched(),
            "orphans": self.figures["orphans"],
            "doubled": self.figures["doubled"],
            "thrown_away": self.figures["thrown_away"],
            "twins_seen": len(self.twins),
            "builds": self.figures["builds"],
        }

    # --- the master --------------------------------------------------------------------------

    def prepare(self) -> None:
        self.master.create()
        (self.master.directory / "settings.json").write_text(json.dumps(self.settings()))
        self.start()

    def settings(self) -> dict[str, Any]:
        return {
            "buildbot": False,
            "size": SIZE,
            "idle_seconds": IDLE_SECONDS,
            "region": self.server.region,
            "image": self.server.catalogue.newest_image,
            "types": TYPES,
            "subnets": list(self.server.catalogue.subnets().values())[:2],
            "ssh_port": self.instances.port,
            "python": sys.executable,
            "variable": VARIABLE,
            "used": str(self.used),
            "worker_port": self.worker_port,
            "web_port": int(self.master.url.rstrip("/").rpartition(":")[2]),
            "url": self.master.url,
            "password": PASSWORD,
        }

    @property
    def used(self) -> Path:
        """The file in which each build writes down which instance it runs on."""
        return self.directory / "used"

    def start(self) -> None:
        self.master.start()
        self.master.wait_until_up()
        self.master.wait_for(self.has_tables, 120.0, "the tables of Drydock")

    def has_tables(self) -> bool:
        """The web server may answer before the tables of a new database are made."""
        return bool(self.master.query("SELECT 1 FROM sqlite_master WHERE name = 'drydock_events'"))

    def one_kill(self) -> None:
        quiet = self.wanted > 0 and self.random.random() < 0.7
        self.wanted = self.random.choice(QUIET if quiet else BUSY)
        for _ in range(self.random.randint(*(QUIET_LOOKS if quiet else BUSY_LOOKS))):
            self.keep_busy()
            self.look()
            self.pause.wait(0.1)
        self.master.kill()
        self.figures["kills"] += 1
        self.note_kill()
        if self.random.random() < 0.3:  # now and then it stays away for longer
            self.pause.wait(self.random.uniform(0.0, 5.0))
        self.start()
        self.see_nothing_left()

    def keep_busy(self) -> None:
        """Have so many builds waiting or running as are wanted at the time."""
        with suppress(OSError, urllib.error.URLError):  # asked too early after a restart
            for _ in range(self.wanted - self.unfinished()):
                self.master.force()

    def unfinished(self) -> int:
        ((number,),) = self.master.query("SELECT COUNT(*) FROM buildrequests WHERE complete = 0")
        return int(number)

    def finish(self) -> None:
        """Let all builds end, and then all instances: none is in use any more."""
        self.master.wait_for(
            lambda: not self.unfinished(), LAST_BUILDS_SECONDS, "the last builds to end"
        )
        self.until(lambda: not self.server.inspector.living, GRACE_SECONDS)
        for _ in range(50):  # what was asked for long ago might still come
            self.look()
            self.pause.wait(0.1)
        self.figures["orphans"] += len(self.orphans_at_the_end())
        self.figures["doubled"] = len(self.doubled())
        self.end()

    def end(self) -> None:
        self.master.stop()

    def until(self, condition: Callable[[], bool], seconds: float) -> None:
        for _ in range(int(seconds * 10)):
            if condition():
                return
            self.look()
            self.pause.wait(0.1)

    def state(self) -> str:
        living = self.server.inspector.living
        launched = self.server.inspector.launched()
        return f"{dict(self.figures)}, {launched} launched, {len(living)} living"

    # --- what is counted ---------------------------------------------------------------------

    def token(self, instance: Instance) -> str:
        """Return what there should be one living instance for."""
        return instance.tags[TOKEN]

    def doubled(self) -> set[str]:
        counts = Counter(self.token(each) for each in self.server.inspector.living)
        return {token for token, count in counts.items() if count > 1}

    def look(self) -> None:
        self.twins |= self.doubled()

    def note_kill(self) -> None:
        """Take note of what is there when the master is gone."""

    def strays(self) -> set[str]:
        """Return the ids of living instances without a living row."""
        living = self.server.inspector.living  # first: a row is written before it is launched
        rows = self.master.query("SELECT token FROM drydock_resources WHERE status != 'destroyed'")
        tokens = {token for (token,) in rows}
        return {each.id for each in living if self.token(each) not in tokens}

    def see_nothing_left(self) -> None:
        self.until(lambda: not self.strays(), GRACE_SECONDS)
        self.figures["orphans"] += len(self.strays())

    def orphans_at_the_end(self) -> set[str]:
        """No build has wanted any for long, so all that is left was forgotten."""
        return {each.id for each in self.server.inspector.living}

    def count(self) -> None:
        requested = self.events("resource-requested")
        self.figures["asked"] = len(requested)
        ended = [*self.events("resource-released"), *self.events("resource-broken")]
        launched = self.server.inspector.by_tag(TOKEN)
        for token, reason in ended:
            if token in launched and not IDLE.match(reason):
                print(f"{self.name}: thrown away: {token}: {reason}", flush=True)
                self.figures["thrown_away"] += 1
        self.figures["builds"] = self.builds()

    def events(self, kind: str) -> list[tuple[str, str]]:
        """Return token of the resource and reason of all events of a kind."""
        rows = self.master.query(
            "SELECT resources.token, events.data FROM drydock_events AS events"
            " JOIN drydock_resources AS resources ON events.resource = resources.id"
            " WHERE events.kind = ?",
            kind,
        )
        return [(token, json.loads(data).get("reason", "")) for token, data in rows]

    def builds(self) -> int:
        ((number,),) = self.master.query("SELECT COUNT(*) FROM builds WHERE results = 0")
        return int(number)

    def see_that_it_was_done(self) -> None:
        """Raise what the server or the instances found wrong: figures would mean nothing."""
        for error in [*self.server.inspector.crashes, *self.server.inspector.hook_errors()]:
            raise error
        if not self.figures["builds"]:
            raise AssertionError(f"no build has succeeded: see {self.master.log}")


class BuildbotTorture(Torture):
    """The same for Buildbot's own workers."""

    name = "buildbot"

    def __init__(self, directory: Path, kills: int, seed: int) -> None:
        super().__init__(directory, kills, seed)
        self.scripts = {
            f"worker{number}": worker_script(f"worker{number}", PASSWORD, self.worker_port)
            for number in range(SIZE)
        }
        self.at_kills: dict[str, int] = {}  # by id of the instance, the size of `used` at the last

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "buildbot": True, "scripts": self.scripts}

    def start(self) -> None:
        """Start it until it is up: its workers call AWS while it reads its configuration."""
        for _ in range(20):
            self.master.start()
            with suppress(SystemExit):
                self.master.wait_until_up()
                return
        raise SystemExit(f"the master does not start: see {self.master.log}")

    def token(self, instance: Instance) -> str:
        return instance.user_data

    def end(self) -> None:
        """Kill it: asked to stop, it may wait without end for instances that it has lost."""
        self.master.kill()

    def note_kill(self) -> None:
        size = self.used.stat().st_size if self.used.exists() else 0
        for each in self.server.inspector.living:
            self.at_kills[each.id] = size

    def see_nothing_left(self) -> None:
        """What is left cannot be told from what is in use while any is."""

    def until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait as long as it takes its workers to become idle; what is left then stays for ever."""
        super().until(condition, min(seconds, LONG_IDLE_SECONDS))

    def count(self) -> None:
        calls = self.server.inspector.calls_of("RunInstances")
        tokens = {re.search(r"ClientToken=([^&]+)", call.body)[1] for call in calls}  # type: ignore[index]
        self.figures["asked"] = len(tokens)
        used = self.used.read_bytes()
        self.figures["thrown_away"] = sum(
            number.encode() not in used[size:] for number, size in self.at_kills.items()
        )
        self.figures["builds"] = self.builds()


def main() -> int:
    kills = int(os.environ.get("DRYDOCK_KILLS", "50"))
    seed = int(os.environ.get("DRYDOCK_SEED", "0"))
    directory = ROOT / "build" / f"torture-ec2-{os.getpid()}"
    figures: dict[str, Any] = dict(Torture(directory / "drydock", kills, seed).run())
    figures["buildbot"] = BuildbotTorture(directory / "buildbot", kills, seed).run()
    directory.rmdir()
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures))
    wrong = any(figures[name] for name in ("orphans", "doubled", "thrown_away"))
    return 1 if wrong or figures["launched"] > figures["asked"] else 0


if __name__ == "__main__":
    sys.exit(main())
