#!/usr/bin/env python
"""Run many storms: ``simulate.py [--runs N] [--seed FIRST]``.

Prints each seed that fails with what broke, and exits with 1 if any did. ``DRYDOCK_RUNS`` and
``DRYDOCK_SEED`` are the defaults of the options, so that a failure's own words repeat it.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from buildbot_drydock.testing.parking_simulator import ParkingSimulation
from buildbot_drydock.testing.sharing_simulator import SharingSimulation
from buildbot_drydock.testing.simulator import Simulation

SEEDS_AT_ONCE = 50
PARKING_EVERY = 5  # seeds: these storms take some times as long
SHARING_EVERY = 2


def failures_among(seeds: Sequence[int]) -> list[str]:
    failures = []
    for seed in seeds:
        try:
            Simulation(seed).run()
            if seed % PARKING_EVERY == 0:
                ParkingSimulation(seed).run()
            if seed % SHARING_EVERY == 0:
                SharingSimulation(seed).run()
        except AssertionError as error:
            failures.append(str(error))
    return failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=int(os.environ.get("DRYDOCK_RUNS", "10000")))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("DRYDOCK_SEED", "0")))
    options = parser.parse_args()
    last = options.seed + options.runs
    batches = [
        range(first, min(first + SEEDS_AT_ONCE, last))
        for first in range(options.seed, last, SEEDS_AT_ONCE)
    ]
    failed = done = 0
    with ProcessPoolExecutor() as pool:
        for batch, failures in zip(batches, pool.map(failures_among, batches), strict=True):
            done += len(batch)
            failed += len(failures)
            for failure in failures:
                print(failure, flush=True)
            if done % 1000 == 0:
                print(f"{done} of {options.runs} storms, {failed} failed", flush=True)
    print(f"{done} storms with two masters from seed {options.seed} on: {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
