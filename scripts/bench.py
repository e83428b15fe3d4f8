#!/usr/bin/env python
"""Measure, print a table, and write ``build/bench.json``. Exits with 1 if a target is missed.

With ``--forgive-times`` only what is counted has to meet its target: how long something takes says
little on a machine that others use at the same time, and must not fail what is run there.

Where speed is compared, it is with something else measured in the same run on the same machine.
To add a part, add its function to ``PARTS``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bench_contention import contention
from bench_docker import containers
from bench_ec2 import ec2_calls
from bench_hosts import hosts
from bench_listings import listings
from bench_metrics import metrics
from bench_results import Measured, missed, show, write
from bench_store import single_leases, store_throughput
from bench_turns import planner, turns
from twisted.internet.defer import Deferred
from twisted.internet.task import react

RESULTS = Path(__file__).resolve().parents[1] / "build" / "bench.json"

Part = Callable[[str], Awaitable[list[Measured]]]  # what it is called with is a directory

PARTS: tuple[Part, ...] = (
    planner,
    turns,
    store_throughput,
    single_leases,
    contention,
    ec2_calls,
    hosts,
    containers,
    listings,
    metrics,
)


async def main(_: Any, forgive_times: bool) -> None:
    rows: list[Measured] = []
    with tempfile.TemporaryDirectory() as directory:
        for part in PARTS:
            rows += await part(directory)
    show(rows)
    write(rows, RESULTS)
    if misses := missed(rows):
        print(f"missed: {', '.join(row['name'] for row in misses)}", file=sys.stderr)
    if any(not (forgive_times and row["timed"]) for row in misses):
        raise SystemExit(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--forgive-times", action="store_true")
    options = parser.parse_args()
    react(lambda clock: Deferred.fromCoroutine(main(clock, options.forgive_times)))
