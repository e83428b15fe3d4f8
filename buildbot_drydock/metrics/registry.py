"""All metrics of one service, and their text for Prometheus.

The service has a registry of its own; the global one of ``prometheus_client`` is not touched.
Labels are names from the configuration and words from the tables of this package, so that there
are never more series than blueprints times statuses, kinds or reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from buildbot_drydock.interfaces import Clock
from buildbot_drydock.metrics import tally
from buildbot_drydock.metrics.census import Census, Pair
from buildbot_drydock.metrics.tally import BLUEPRINT

MOST_BUILDERS: Final = 500  # with series of their own, in the life of a master
OTHER_BUILDERS: Final = "(others)"

# Seconds. A build host takes from one second, for a process, to many minutes.
_LONG: Final = (0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
_SHORT: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class CensusCollector(Collector):
    """What there is, as the last turn saw it. Made anew for each scrape from a few numbers."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.census = Census()

    def collect(self) -> Iterator[Metric]:
        census = self.census  # one and the same for all that follows
        yield _gauge("drydock_limit", "Resources that may live at once.", census.limits)
        yield _gauge_by("drydock_resources", "Living resources.", "status", census.resources)
        yield _gauge_by(
            "drydock_leases",
            "Leases that have not ended, or are still to be vacated; without a blueprint while "
            "they have no resource.",
            "status",
            census.leases,
        )
        yield _gauge_by(
            "drydock_waiting_leases",
            "Waiting leases, counted once for each blueprint by the reason why it does not serve "
            "them.",
            "reason",
            census.waiting,
        )
        oldest = GaugeMetricFamily(
            "drydock_oldest_wait_seconds",
            "How long the oldest waiting lease has waited; 0 if none does.",
        )
        began = census.oldest_request
        oldest.add_metric([], 0.0 if began is None else max(0.0, self._clock.seconds() - began))
        yield oldest
        yield _gauge(
            "drydock_hourly_cost",
            "What an hour of the living resources costs, in the provider's currency.",
            census.hourly_costs,
        )
        yield _gauge(
            "drydock_living_cost",
            "What the living resources have cost so far, in the provider's currency.",
            census.costs,
        )


def _gauge(name: str, text: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[BLUEPRINT])
    for blueprint, value in sorted(values.items()):
        family.add_metric([blueprint], value)
    return family


def _gauge_by(name: str, text: str, label: str, values: Mapping[Pair, int]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[BLUEPRINT, label])
    for labels, value in sorted(values.items()):
        family.add_metric(labels, value)
    return family


def _child(metric: Counter | Histogram, labels: Sequence[str]) -> Counter | Histogram:
    """Return a metric's series with these labels; itself if it has none."""
    return metric.labels(*labels) if labels else metric


class Metrics:
    """Public are the metrics that others observe, ``see``, ``count`` and ``exposition``."""

    def __init__(self, clock: Clock) -> None:
        self.registry = CollectorRegistry()
        self._collector = CensusCollector(clock)
        self.registry.register(self._collector)
        self._begun: set[str] = set()  # blueprints whose series are there
        self._of_events: dict[str, Counter | Histogram] = {
            tally.LAUNCHES: self._counter(tally.LAUNCHES, "Resources requested."),
            tally.BOOTS: self._histogram(
                tally.BOOTS, "From the request of a resource until its host answered.", _LONG
            ),
            tally.WAITS: self._histogram(
                tally.WAITS, "From the request of a lease until it was active.", _LONG
            ),
            tally.REQUESTS: self._counter(tally.REQUESTS, "Leases requested."),
            tally.RELEASES: self._counter(
                tally.RELEASES,
                "Leases released by their holders, or expired; without a blueprint if they never "
                "had a resource.",
            ),
            tally.FAILURES: self._counter(tally.FAILURES, "Failures, by the kind of their event."),
            tally.INTERRUPTIONS: self._counter(
                tally.INTERRUPTIONS, "Resources whose provider announced that it ends them."
            ),
            tally.STRAYS: self._counter(tally.STRAYS, "Hosts without a row that were destroyed."),
            tally.COSTS: self._counter(
                tally.COSTS,
                "What destroyed resources have cost from their request to their end, in the "
                "provider's currency.",
            ),
            tally.CHARGES: self._counter(
                tally.CHARGES,
                "What builds are charged of leases that were closed, in the provider's currency; "
                "without a builder what no build is charged with.",
            ),
        }
        self._builders: set[str] = set()  # that have series
        self.planning = self._timer("drydock_planning_seconds", "One plan, in its thread if any.")
        self.turns = self._timer("drydock_turn_seconds", "One turn: to observe, plan and execute.")
        self.failed_turns = Counter(
            "drydock_failed_turns", "Turns that an error ended.", registry=self.registry
        )
        self.holds = self._timer(
            "drydock_reactor_hold_seconds",
            "The longest time for which the reactor was held, of each 5 s.",
        )
        self.round_trips = Counter(
            "drydock_database_round_trips",
            "Pieces of work given to the database, each one transaction.",
            registry=self.registry,
        )

    def see(self, census: Census) -> None:
        self._collector.census = census
        # A counter that is first seen at 1 has no rate: each begins at 0.
        for blueprint in census.limits.keys() - self._begun:
            self._begun.add(blueprint)
            for name, metric in self._of_events.items():
                for labels in tally.first_labels(name, blueprint):
                    _child(metric, labels)

    def count(self, row: tally.Row) -> None:
        """Count a recorded event."""
        for builder, amount in tally.charges_of(row).items():
            # A price that fell can leave less than nothing, which no counter takes.
            if amount > 0:
                series = (row["blueprint"] or "", self._label_of(builder))
                _child(self._of_events[tally.CHARGES], series).inc(amount)  # type: ignore[union-attr]
        sample = tally.sample_of(row)
        if sample is None:
            return
        labels = tally.labels_of(sample.metric, row["blueprint"], row["kind"])
        metric = _child(self._of_events[sample.metric], labels)
        if isinstance(metric, Histogram):
            metric.observe(sample.amount)
        else:
            metric.inc(sample.amount)

    def _label_of(self, builder: str) -> str:
        """Return a builder's name; that of all others, if so many have series that it is enough."""
        if builder and builder not in self._builders:
            if len(self._builders) >= MOST_BUILDERS:
                return OTHER_BUILDERS
            self._builders.add(builder)
        return builder

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics in a format that *accept* names, and its content type.

        May run in any thread.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(name, text, tally.LABELS[name], registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Iterable[float]) -> Histogram:
        labels = tally.LABELS[name]
        return Histogram(name, text, labels, buckets=tuple(buckets), registry=self.registry)

    def _timer(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, buckets=_SHORT, registry=self.registry)
