"""Which workers are offered builds, and which make way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.crew import Crew, Holder
from buildbot_drydock.model import Mode, Resource, World
from buildbot_drydock.offers import Demand, Offers, demand_of
from buildbot_drydock.planner import plan
from buildbot_drydock.testing.builders import blueprint, lease, resource, state, world

ANY = demand_of("host", {}, ())


@dataclass(eq=False)
class Worker:
    name: str
    demand: Demand = ANY
    builders: frozenset[str] = frozenset({"tests"})
    askers: list[tuple[str, ...]] = field(default_factory=lambda: [("builder/tests",)])
    has_lease: bool = False
    idle_on: Resource | None = None
    willing: bool = True
    made_way: list[bool] = field(default_factory=list)

    def is_willing(self) -> bool:
        return self.willing and not self.has_lease

    def is_warm(self) -> bool:
        return self.idle_on is not None and self.willing

    def make_way(self) -> None:
        self.idle_on = None
        self.made_way.append(True)


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.woken: list[str] = []
        self.crew = Crew(lambda worker: self.woken.append(worker.name))

    def enlist(self, *names: str, **fields: object) -> list[Worker]:
        workers = [Worker(name, **fields) for name in names]  # type: ignore[arg-type]
        for worker in workers:
            self.crew.enlist(worker)
        return workers

    def see(self, seen: World) -> None:
        self.crew.see(seen, plan(seen), Offers(seen))

    def offered(self, workers: list[Worker]) -> list[str]:
        return [worker.name for worker in workers if self.crew.offers(worker)]


class OfferTests(Case):
    def test_nothing_is_offered_before_the_first_turn_and_nothing_after_closing(self) -> None:
        workers = self.enlist("a")
        self.assertEqual(self.offered(workers), [])
        self.see(world(blueprint()))
        self.assertEqual(self.offered(workers), ["a"])
        self.crew.closed = True
        self.assertEqual(self.offered(workers), [])

    def test_whoever_was_discharged_is_offered_nothing(self) -> None:
        (worker,) = self.enlist("a")
        self.see(world(blueprint(limit=2)))
        self.crew.discharge(worker)
        self.assertFalse(self.crew.offers(worker))
        self.assertFalse(self.crew.may_start(worker, {}, ANY))

    def test_as_many_are_offered_as_there_is_capacity_for(self) -> None:
        workers = self.enlist("a", "b", "c", "d")
        workers[0].willing = False
        self.see(world(blueprint(limit=2)))
        self.assertEqual(self.offered(workers), ["b", "c"])

    def test_workers_of_other_builders_do_not_stand_in_the_way(self) -> None:
        others = self.enlist("a", "b", builders=frozenset({"docs"}))
        workers = self.enlist("c")
        self.see(world(blueprint(limit=1)))
        self.assertEqual((self.offered(others), self.offered(workers)), (["a"], ["c"]))

    def test_a_promise_counts_until_the_lease_was_seen(self) -> None:
        workers = self.enlist("a", "b")
        self.see(world(blueprint(limit=1)))
        self.crew.promise(workers[0])
        workers[0].has_lease = True
        self.assertEqual(self.offered(workers), [])
        self.crew.keep_promise(workers[0], 1)
        self.see(world(blueprint(limit=1)))
        self.assertEqual(self.offered(workers), [], "the turn had not seen the lease")
        self.see(world(blueprint(limit=2), leases=[lease(1)]))
        self.assertEqual(self.offered(workers), ["b"])

    def test_a_promise_can_be_taken_back(self) -> None:
        workers = self.enlist("a", "b")
        self.see(world(blueprint(limit=1)))
        self.crew.promise(workers[0])
        self.crew.forget_promise(workers[0])
        self.assertEqual(self.offered(workers), ["a"])

    def test_a_kind_that_has_leases_waits_for_these_and_one_that_has_none_for_a_slot(self) -> None:
        full = world(blueprint(), resources=[resource(1)], leases=[lease(1, on=1)])
        others = self.enlist("b", builders=frozenset({"docs"}))
        workers = self.enlist("a", has_lease=True) + self.enlist("c")
        self.see(full)
        self.assertEqual((self.offered(workers), self.offered(others)), ([], ["b"]))

    def test_a_warm_worker_that_fits_goes_before_a_cold_one(self) -> None:
        debian = {"os": "debian"}
        (warm,) = self.enlist("a", has_lease=True, idle_on=resource(1, labels=debian))
        (cold,) = self.enlist("b")
        self.see(world(blueprint(limit=3, choices={"os": ("debian", "fedora")})))
        self.assertFalse(self.crew.may_start(cold, debian, demand_of("host", debian, ())))
        fedora = {"os": "fedora"}
        self.assertTrue(self.crew.may_start(cold, fedora, demand_of("host", fedora, ())))
        warm.willing = False  # it is paused
        self.assertTrue(self.crew.may_start(cold, debian, demand_of("host", debian, ())))


@dataclass(eq=False)
class Asked(Worker):
    """Counts how often it is asked."""

    questions: int = 0

    def is_willing(self) -> bool:
        self.questions += 1
        return super().is_willing()


class OneLookTests(SynchronousTestCase):
    """What a look at all workers has found is kept while nothing can have changed."""

    def setUp(self) -> None:
        self.later: list[Callable[[], None]] = []
        self.crew = Crew(lambda worker: None, self.later.append)
        self.workers = [Asked(name) for name in "abcde"]
        for worker in self.workers:
            self.crew.enlist(worker)
        self.see()

    def see(self, limit: int = 5) -> None:
        seen = world(blueprint(limit=limit))
        self.crew.see(seen, plan(seen), Offers(seen))

    def offered(self) -> str:
        return "".join(worker.name for worker in self.workers if self.crew.offers(worker))

    def test_all_workers_are_looked_at_once_however_many_are_asked(self) -> None:
        self.assertEqual(self.offered(), "abcde")
        self.assertEqual(self.offered(), "abcde")
        self.assertEqual([each.questions for each in self.workers], [1] * 5)

    def test_they_are_looked_at_again_in_the_next_turn_of_the_reactor(self) -> None:
        self.offered()
        self.workers[0].willing = False
        (forget,) = self.later
        forget()
        self.assertEqual(self.offered(), "bcde")

    def test_what_is_said_to_the_crew_counts_at_once(self) -> None:
        self.offered()
        self.see(limit=2)
        self.assertEqual(self.offered(), "ab")
        self.crew.promise(self.workers[4])
        self.assertEqual(self.offered(), "a")
        self.crew.forget_promise(self.workers[4])
        self.assertEqual(self.offered(), "ab")
        self.crew.discharge(self.workers[0])
        self.assertEqual(self.offered(), "bc")
        self.crew.enlist(self.workers[0])
        self.see(limit=5)
        self.assertEqual(self.offered(), "abcde")
        self.crew.closed = True
        self.assertEqual(self.offered(), "")

    def test_another_kind_is_looked_at_by_itself(self) -> None:
        self.offered()
        other = Asked("z", builders=frozenset({"docs"}))
        self.crew._workers["z"] = other  # so that nothing is said to have changed
        self.assertTrue(self.crew.offers(other))


class WakingTests(Case):
    def test_builders_are_woken_once_for_each_kind_when_capacity_returns(self) -> None:
        workers = self.enlist("a", "b") + self.enlist("c", builders=frozenset({"docs"}))
        paused = world(blueprint(limit=2, state=state(mode=Mode.PAUSED)))
        self.see(paused)
        self.assertEqual(self.offered(workers), [])
        self.see(paused)
        self.assertEqual(self.woken, [])
        self.see(world(blueprint(limit=2)))
        self.assertEqual(sorted(self.woken), ["a", "c"])
        self.see(world(blueprint(limit=2)))
        self.assertEqual(sorted(self.woken), ["a", "c"], "nobody was refused since")

    def test_nobody_is_woken_for_a_worker_that_has_left(self) -> None:
        workers = self.enlist("a")
        self.see(world(blueprint(state=state(mode=Mode.PAUSED))))
        self.offered(workers)
        self.crew.discharge(workers[0])
        self.see(world(blueprint()))
        self.assertEqual((self.woken, self.crew.names(), len(self.crew)), ([], [], 0))


class MakingWayTests(Case):
    def full(self, *waiting: int) -> World:
        return world(
            blueprint(limit=2),
            resources=[resource(1), resource(2)],
            leases=[lease(1, on=1), lease(2, on=2), *(lease(number) for number in waiting)],
        )

    def idle(self) -> list[Holder]:
        return [
            *self.enlist("a", has_lease=True, idle_on=resource(1)),
            *self.enlist("b", has_lease=True, idle_on=resource(2)),
        ]

    def makers(self, workers: list[Holder]) -> list[str]:
        return [worker.name for worker in workers if getattr(worker, "made_way", None)]

    def test_one_idle_worker_makes_way_for_each_lease_that_waits_for_its_slot(self) -> None:
        workers = self.idle()
        self.see(self.full())
        self.assertEqual(self.makers(workers), [])
        self.see(self.full(3))
        self.assertEqual(self.makers(workers), ["a"])

    def test_a_worker_that_becomes_idle_is_asked_too(self) -> None:
        self.see(self.full(3))
        self.assertTrue(self.crew.is_wanted(Worker("z"), resource(1)))
        self.assertFalse(self.crew.is_wanted(Worker("z"), resource(2)), "one has made way already")

    def test_nobody_makes_way_for_a_lease_that_will_get_what_is_coming(self) -> None:
        workers = self.idle()
        self.see(world(blueprint(limit=3), resources=[resource(1), resource(2)], leases=[lease(3)]))
        self.assertEqual(self.makers(workers), [])

    def test_nobody_makes_way_on_a_host_that_could_not_serve(self) -> None:
        self.see(self.full(3))
        self.assertFalse(self.crew.is_wanted(Worker("z"), resource(7, "windows")))
