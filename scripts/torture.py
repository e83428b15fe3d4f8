#!/usr/bin/env python
"""Kill a real master with SIGKILL again and again while builds arrive all the time.

``DRYDOCK_KILLS`` says how often (30). Checked from outside, by SQL and by listing processes:

* ``double_uses``: two living leases on one slot, or two worker processes in one lease's name;
* ``orphans``: worker processes without a living lease, once the grace time after a restart is over;
* ``lost_requests``: build requests that never came to a finished build;
* ``reattached``: worker processes that were there before a kill and served the master after it.

Writes ``build/torture.json``; exits with 1 unless the first three are 0.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import urllib.error
from collections import Counter
from pathlib import Path
from random import Random

import psutil
from demo_master import Master

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "scripts" / "torture.cfg"
URL = "http://127.0.0.1:8011/"
TAG = "DRYDOCK_TAG"
LIVING = "('pending', 'acquired', 'active', 'released', 'broken')"
BUILDS_AT_ONCE = 6
# A lease that nobody takes up expires after lease_seconds in torture.cfg; then it is cleaned up.
GRACE_SECONDS = 90.0


class Torture:
    def __init__(self, directory: Path, kills: int, seed: int) -> None:
        self.master = Master(directory, CONFIG, URL)
        self.kills = kills
        self.random = Random(seed)
        self.figures = Counter(kills=0, reattached=0, orphans=0, double_uses=0, lost_requests=0)
        self.pause = threading.Event()

    def run(self) -> Counter[str]:
        self.master.create()
        self.master.start()
        self.master.wait_until_up()
        self.master.wait_for(self.has_tables, 120.0, "the tables of Drydock")
        for number in range(1, self.kills + 1):
            self.one_kill()
            print(f"{number} of {self.kills} kills: {dict(self.figures)}", flush=True)
        self.finish()
        return self.figures

    def has_tables(self) -> bool:
        """The web server may answer before the tables of a new database are made."""
        return bool(self.master.query("SELECT 1 FROM sqlite_master WHERE name = 'drydock_leases'"))

    def one_kill(self) -> None:
        for _ in range(self.random.randint(5, 60)):
            self.keep_busy()
            self.look()
            self.pause.wait(0.1)
        before = self.processes()
        self.master.kill()
        self.figures["kills"] += 1
        if self.random.random() < 0.3:  # now and then it stays away for longer
            self.pause.wait(self.random.uniform(0.0, 5.0))
        self.master.start()
        self.master.wait_until_up()
        self.figures["reattached"] += self.attached_again(before)
        self.wait_or_count(
            lambda: not self.strays(), GRACE_SECONDS, "orphans", lambda: len(self.strays())
        )

    def keep_busy(self) -> None:
        """Keep a few build requests waiting or running."""
        try:
            unfinished = self.unfinished()
            for _ in range(BUILDS_AT_ONCE - len(unfinished)):
                self.master.force()
        except (OSError, urllib.error.URLError):
            return  # asked too early after a restart; the next look asks again

    def unfinished(self) -> list[int]:
        rows = self.master.query("SELECT id FROM buildrequests WHERE complete = 0")
        return [number for (number,) in rows]

    def look(self) -> None:
        """Look for two living leases on one slot, and two workers of one lease."""
        twice = self.master.query(
            "SELECT resource, slot, COUNT(*) FROM drydock_leases WHERE slot IS NOT NULL"
            f" AND status IN {LIVING} GROUP BY resource, slot HAVING COUNT(*) > 1"
        )
        tags = Counter(tag for tag, main in self.processes().values() if main)
        twins = [tag for tag, count in tags.items() if count > 1]
        for found in [*twice, *twins]:
            print(f"used twice: {found}", flush=True)
            self.figures["double_uses"] += 1

    def processes(self) -> dict[int, tuple[str, bool]]:
        """Return the processes of leases: their tags, and whether each is the worker itself.

        A command that a worker has only just forked still looks like the worker.
        """
        found: dict[int, tuple[str, bool]] = {}
        root = str(self.master.directory)
        for process in psutil.process_iter():
            try:
                tag = process.environ().get(TAG)
                alive = process.status() != psutil.STATUS_ZOMBIE
                if tag and alive and process.cwd().startswith(root):
                    main = "twistd" in " ".join(process.cmdline()) and not is_forked(process, tag)
                    found[process.pid] = (tag, main)
            except psutil.Error:
                continue
        return found

    def attached_again(self, before: dict[int, tuple[str, bool]]) -> int:
        """Wait until each worker that lives on is connected or gone; count the former."""
        workers = {pid for pid, (_, main) in before.items() if main}

        def settled() -> list[int] | None:
            connected = sum(bool(w["connected_to"]) for w in self.master.rows("workers"))
            left = workers & self.processes().keys()
            return sorted(left) or [0] if connected >= len(left) else None

        left = self.master.wait_for(settled, GRACE_SECONDS, "workers to come back or to go")
        return len([pid for pid in left if pid])

    def finish(self) -> None:
        """Let all builds end, and all grace times; then nothing may be left over."""
        self.wait_or_count(
            lambda: not self.unfinished(), 300.0, "lost_requests", lambda: len(self.unfinished())
        )
        # Idle workers give their leases back by themselves, so in the end no process is left.
        self.wait_or_count(
            lambda: not self.processes(), GRACE_SECONDS, "orphans", lambda: len(self.processes())
        )
        self.master.stop()

    def strays(self) -> set[int]:
        """Return the processes without a living lease."""
        processes = self.processes()  # first: a lease is written before its process starts
        tags = {
            f"drydock-lease-{number}-{nonce[:12]}"
            for number, nonce in self.master.query(
                f"SELECT id, nonce FROM drydock_leases WHERE status IN {LIVING}"
            )
        }
        return {pid for pid, (tag, _) in processes.items() if tag not in tags}

    def wait_or_count(self, condition, seconds: float, figure: str, count) -> None:
        for _ in range(int(seconds * 10)):
            if condition():
                return
            self.pause.wait(0.1)
        self.figures[figure] += count()


def is_forked(process: psutil.Process, tag: str) -> bool:
    """Tell whether another process of the same lease started this one."""
    try:
        parent = process.parent()
        return parent is not None and parent.environ().get(TAG) == tag
    except psutil.Error:
        return False  # its master was killed, and its parent is the system's first process now


def main() -> int:
    kills = int(os.environ.get("DRYDOCK_KILLS", "30"))
    seed = int(os.environ.get("DRYDOCK_SEED", "0"))
    directory = ROOT / "build" / f"torture-{os.getpid()}"
    torture = Torture(directory, kills, seed)
    try:
        figures = torture.run()
    finally:
        if torture.master.process is not None:  # something went wrong before it was stopped
            torture.master.kill()
    (ROOT / "build" / "torture.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures))
    return 1 if figures["orphans"] or figures["double_uses"] or figures["lost_requests"] else 0


if __name__ == "__main__":
    sys.exit(main())
