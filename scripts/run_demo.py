#!/usr/bin/env python
"""Run ``master.cfg.sample``: a real master, and a real build on a leased worker.

``run_demo.py [--once] [--directory DIR]``. Prints what happened and how long each phase took, then
keeps the master running until Ctrl-C; with ``--once`` it stops right after the build. The directory
is kept: run again, it starts where it was. Exits with 0 if the build succeeded.
"""

import argparse
import signal
import sys
from pathlib import Path

from demo_master import Master

ROOT = Path(__file__).resolve().parents[1]
URL = "http://localhost:8010/"
SUCCESS = 0


def report(master: Master, build: dict, requested_at: float) -> None:
    """Print the lease, the resource, and how long each phase took."""
    buildid = build["buildid"]
    leases = master.query(
        "SELECT id, owner, requested_at, resource, slot FROM drydock_leases"
        " WHERE status = 'active' OR attributes LIKE ? ORDER BY id DESC LIMIT 1",
        f'%"buildid": "{buildid}"%',
    )
    print(f"\nThe build ended with {'SUCCESS' if build['results'] == SUCCESS else 'a failure'}.")
    print(f"  web page   {URL}#/builders/{build['builderid']}/builds/{build['number']}")
    (lease, owner, leased_at, resource, slot) = leases[0]
    (token, address) = master.query(
        "SELECT token, address FROM drydock_resources WHERE id = ?", resource
    )[0]
    print(f"  lease      {lease}, of {owner}, slot {slot} of resource {resource}")
    print(f"  resource   {resource}, {token} at {address}")
    (acquired_at,) = master.query(
        "SELECT at FROM drydock_events WHERE lease = ? AND kind = 'lease-acquired'", lease
    )[0]
    (steps,) = [master.rows(f"builds/{buildid}/steps?order=number")]
    started = next(s["started_at"] for s in steps if s["name"] == "hello")
    prepared = [s for s in steps if s["name"].startswith("worker_preparation")]
    warm = acquired_at < requested_at
    print("  phases")
    if warm:
        print("    a warm worker had its lease already")
    else:
        print(f"    request of the build to lease requested {leased_at - requested_at:8.2f} s")
        print(f"    to resource active and lease acquired   {acquired_at - leased_at:8.2f} s")
    attached = prepared[-1]["complete_at"] if prepared else started
    since = max(acquired_at, requested_at)
    print(f"    to worker attached, to the second       {max(0.0, attached - since):8.0f} s")
    print(
        f"    request to end of the build             {build['complete_at'] - requested_at:8.0f} s"
    )


def one_build(master: Master) -> int:
    request = master.force()
    (submitted,) = [master.rows(f"buildrequests/{request}")[0]["submitted_at"]]

    def finished() -> dict | None:
        builds = master.rows(f"buildrequests/{request}/builds?complete=true&order=-buildid")
        return builds[0] if builds else None

    build = master.wait_for(finished, 180.0, "the build to end")
    report(master, build, float(submitted))
    return build["results"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true", help="stop after the build")
    parser.add_argument("--directory", type=Path, default=ROOT / "build" / "demo")
    options = parser.parse_args()
    master = Master(options.directory.resolve(), ROOT / "master.cfg.sample", URL)
    master.create()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"starting a master in {master.directory}", flush=True)
    result = 1
    try:
        master.start()
        master.wait_until_up()
        print(f"the web page is at {URL}", flush=True)
        result = one_build(master)
        if not options.once:
            print("\nThe master goes on; Ctrl-C stops it and its workers.", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        print("\nstopping", flush=True)
    finally:
        master.stop()
    return 0 if result == SUCCESS else 1


if __name__ == "__main__":
    sys.exit(main())
