"""A whole Drydock in one thread, driven by one seed.

A run has two halves. In the *storm* anything may fail, masters included, and what must hold is
safety: no rule is broken at any moment. In the *calm* nothing fails, and what must hold is
liveness: all that is asked for is served or answered, and settles in bounded time.

Two masters share the rows and the clouds, each with a clock a little wrong. At every await of a
store or a provider the seed decides who goes on, what fails there, and which master dies there; a
dead one is started again later, with nothing but the rows to go by.
"""

from __future__ import annotations

import math
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from buildbot_drydock import events
from buildbot_drydock.errors import (
    DrydockError,
    HostUnreachable,
    Misconfigured,
    NoCapacity,
    RequestRejected,
    RetryLater,
)
from buildbot_drydock.latent.synthetic import (
    Moment,
    Stage,
    SyntheticCloud,
    SyntheticProvider,
)
from buildbot_drydock.model import (
    Blueprint,
    BlueprintState,
    HostState,
    Labels,
    LeaseStatus,
    Mode,
    Power,
    Resource,
    ResourceStatus,
    Rows,
)
from buildbot_drydock.store.memory import MemoryStore
from buildbot_drydock.testing import checks
from buildbot_drydock.testing.simulated_access import (
    Administrator,
    changed_rules,
    open_rules,
)
from buildbot_drydock.testing.simulated_blueprints import (
    HIGHEST_PRICE,
    some_blueprint,
    some_script,
)
from buildbot_drydock.testing.simulated_hosts import (
    HOST_NAMES,
    ListedSyntheticProvider,
    mended,
    shaken,
)
from buildbot_drydock.testing.simulated_master import SimulatedMaster

T = TypeVar("T")

MASTERS = (1, 2)
PROVIDER_FAULTS = (RetryLater, RetryLater, NoCapacity, Misconfigured, RequestRejected)
PROVIDER_VERBS = ("inventory", "create", "destroy", "park", "wake", "prepare", "vacate")
# A real worker that cannot log in gives up by itself; so does a simulated one, in the calm.
GIVE_UP_SECONDS = 600.0
CALM_SECONDS = 6 * 3600.0
CALM_STEPS = 20_000


class Stuck(AssertionError):
    """The storm has passed, and something is still not settled."""


class Simulation:
    """One storm and one calm. ``run`` raises ``AssertionError`` naming the seed if a rule breaks."""

    haste = 0.9  # how often a stopped call goes on rather than time

    def __init__(self, seed: int, *, steps: int = 500) -> None:
        self.seed = seed
        self.steps = steps
        self.random = Random(seed)
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        self.misery = self.random.choice([0.0, 0.01, 0.05, 0.2])  # some storms are mild
        self.mortality = self.random.choice([0.0, 0.005, 0.03])
        self.unrest = self.random.choice([0.0, 0.0, 0.01])  # hosts are given notice
        self.guarded = self.random.random() < 0.5  # not everybody may use everything
        self.administrator = Administrator(self.store, self.random)
        self.calm = False
        self.wishes = self._some_wishes()
        self.blueprints = [self._some_blueprint(name) for name in self._some_names()]
        self.highest_limits = {b.name: b.limit for b in self.blueprints}
        self.clouds = {b.name: self._some_cloud(b) for b in self.blueprints}
        self.skews = {number: self.random.choice([-2.0, 0.0, 0.0, 2.0]) for number in MASTERS}
        self.masters = {number: self._start_master(number) for number in MASTERS}
        self.dead: list[SimulatedMaster] = []  # kept: a dead master does not even clean up
        self.tokens: set[str] = set()
        self.standing: dict[str, Mapping[str, float]] = {}
        self.broken_rules: list[checks.Unsafe] = []
        self.unanswered: list[Deferred[None]] = []
        self.open_leases: dict[int, int | None] = {}  # living lease -> its resource
        self.disabled_hosts: set[str] = set()
        self.given_notice: set[int] = set()  # resources whose rows say that they are to end

    # --- what this seed's world is like --------------------------------------------------------

    def _some_names(self) -> list[str]:
        return self.random.choice([["linux"], ["linux", "spare"]])

    def _some_wishes(self) -> list[Labels]:
        plain: Labels = {}
        old, new = {"image": "old"}, {"image": "new"}
        return self.random.choice([[plain], [plain, old, new], [old, new], [plain, {"os": "vms"}]])

    def _some_blueprint(self, name: str) -> Blueprint:
        return some_blueprint(self.random, name, guarded=self.guarded)

    def _some_cloud(self, blueprint: Blueprint) -> SyntheticCloud:
        script = some_script(self.random, blueprint)
        return SyntheticCloud(
            self.clock, script, hook=lambda moment: self._hook(blueprint.name, moment)
        )

    def _start_master(self, number: int) -> SimulatedMaster:
        master = SimulatedMaster(
            number,
            self.clock,
            self.random,
            self.store,
            {b.name: self._provider(b) for b in self.blueprints},
            lambda: self.blueprints,
            skew_seconds=self.skews[number],
            wishes=self.wishes,
            **{"holders": self.random.randint(1, 3), **self._habits()},
        )
        if self.calm:
            master.rounds_left = 2
        return master

    def _habits(self) -> dict[str, Any]:
        """What else a master is started with. Override."""
        return {}

    def _provider(self, blueprint: Blueprint) -> SyntheticProvider:
        cloud = self.clouds[blueprint.name]
        if blueprint.hosts is None:
            return SyntheticProvider(cloud, blueprint.name)
        return ListedSyntheticProvider(cloud, blueprint.name, lambda: list(self.clouds.values()))

    # --- the two halves ----------------------------------------------------------------------

    def run(self) -> None:
        try:
            for _ in range(self.steps):
                self._mishap()
                self._step()
            self._calm_down()
        except Exception as error:
            raise AssertionError(
                f"seed {self.seed} failed: {error}; "
                f"to repeat it, run with DRYDOCK_SEED={self.seed} DRYDOCK_RUNS=1"
            ) from error

    def _step(self) -> None:
        """Let one stopped call go on, or let time pass."""
        stopped = [m for m in self.masters.values() if m.process.can_go_on]
        if stopped and self.random.random() < self.haste:
            process = self.random.choice(stopped).process
            process.go_on(self.random.randrange(len(process.stopped)))
        else:
            self._advance(self.random.choice([0.0, 0.1, 1.0, 5.0, 30.0, None]))
        self._check()

    def _advance(self, seconds: float | None) -> None:
        """Let so much time pass, or as much as it takes until the next timer fires."""
        if seconds is None:
            pending = self.clock.getDelayedCalls()
            next_at = min((cast(Any, c).getTime() for c in pending), default=self.clock.seconds())
            seconds = max(0.0, next_at - self.clock.seconds())
        self.clock.advance(seconds)

    def _calm_down(self) -> None:
        self._end_the_storm()
        deadline = self.clock.seconds() + CALM_SECONDS
        for _ in range(CALM_STEPS):
            stopped = [m for m in self.masters.values() if m.process.can_go_on]
            if stopped:
                process = self.random.choice(stopped).process
                process.go_on(self.random.randrange(len(process.stopped)))
                self._check()
                continue
            self._give_up()
            self.administrator.decide_what_was_asked(list(self.clouds))
            if all(master.at_rest for master in self.masters.values()):
                unsettled = self._unsettled()
                if not unsettled:
                    return
            if self.clock.seconds() > deadline:
                raise Stuck(
                    f"not settled {CALM_SECONDS:.0f} s after the storm: {self._unsettled()}"
                )
            self._advance(None)
            self._check()
        raise Stuck(f"not settled after {CALM_STEPS} steps: {self._unsettled()}")

    def _end_the_storm(self) -> None:
        self.misery = self.mortality = self.unrest = 0.0
        self.calm = True
        self.calm_since = self.clock.seconds()
        for cloud in self.clouds.values():
            cloud.script = replace(cloud.script, capacity=1_000, lifetime_seconds=None)
        self.blueprints = [
            open_rules(mended(replace(b, limit=max(1, b.limit)))) for b in self.blueprints
        ]
        for name in list(self.clouds):
            self._set_mode(name, Mode.ENABLED)
        for name in self._rows().hosts:
            self._set_host_mode(name, Mode.ENABLED)
        for number, master in self.masters.items():
            if not master.process.alive:
                self.masters[number] = self._start_master(number)
            else:
                master.rounds_left = 2
                for holder in master.holders:
                    holder.served = 0

    # --- what goes wrong -----------------------------------------------------------------------

    def _mishap(self) -> None:
        for number, master in list(self.masters.items()):
            if master.process.alive and self.random.random() < self.mortality:
                master.die()
                self.dead.append(master)
            elif not master.process.alive and self.random.random() < 0.05:
                self.masters[number] = self._start_master(number)
        if self._unlucky():
            self._something_happens()
        if self.random.random() < self.unrest:
            self._give_notice()
        if self.guarded and self.random.random() < 0.05:
            self._change_access()

    def _something_happens(self) -> None:
        blueprint = self.random.choice(self.blueprints)
        name, cloud = blueprint.name, self.clouds[blueprint.name]
        if blueprint.hosts is not None:
            self._something_happens_to_a_host(blueprint)
        elif tokens := cloud.tokens():
            token = self.random.choice(tokens)
            self.random.choice(
                [
                    lambda: cloud.lose(token),
                    lambda: cloud.hang(token),
                    lambda: cloud.silence(token),
                    lambda: cloud.fail(token, "struck by lightning"),
                    lambda: cloud.make_twin(token),
                    lambda: self._stop_or_start(cloud, token),
                    lambda: cloud.reprice(token, HIGHEST_PRICE / 4),
                    lambda: self._set_mode(name, self.random.choice(list(Mode))),
                    lambda: self._set_limit(name),
                ]
            )()

    def _change_access(self) -> None:
        blueprint = self.random.choice(self.blueprints)
        if self.random.random() < 0.8:
            self.administrator.decide_something(blueprint.name)
            return
        changed = changed_rules(blueprint, self.random)
        self.blueprints = [changed if b.name == changed.name else b for b in self.blueprints]

    def _stop_or_start(self, cloud: SyntheticCloud, token: str) -> None:
        """Somebody who knows nothing of us stops a host, or starts one that is parked."""
        with suppress(DrydockError):
            self.random.choice([cloud.park, cloud.wake])(token)

    def _give_notice(self) -> None:
        blueprint = self.random.choice(self.blueprints)
        cloud = self.clouds[blueprint.name]
        tokens = cloud.tokens()
        if tokens and blueprint.hosts is None:
            seconds = self.random.choice([None, 30.0, 120.0])
            token = self.random.choice(tokens)
            cloud.give_notice(token, "the storm comes nearer", seconds=seconds)

    def _something_happens_to_a_host(self, blueprint: Blueprint) -> None:
        """A listed machine can't vanish, nor have a twin."""
        name, cloud = blueprint.name, self.clouds[blueprint.name]
        tokens = cloud.tokens()
        token = self.random.choice(tokens) if tokens else ""
        self.random.choice(
            [
                lambda: cloud.hang(token),
                lambda: cloud.silence(token),
                lambda: cloud.fail(token, "struck by lightning"),
                lambda: self._set_mode(name, self.random.choice(list(Mode))),
                lambda: self._set_limit(name),
                lambda: self._shake(blueprint),
                lambda: self._set_host_mode(
                    self.random.choice(HOST_NAMES),
                    self.random.choice([Mode.ENABLED, Mode.DISABLED]),
                ),
            ]
        )()

    def _shake(self, blueprint: Blueprint) -> None:
        changed = shaken(blueprint, self.random)
        self.blueprints = [changed if b.name == changed.name else b for b in self.blueprints]

    def _set_host_mode(self, name: str, mode: Mode) -> None:
        state = self._rows().hosts.get(name, HostState(name=name))
        wanted = replace(state, mode=mode, at_once=self.random.random() < 0.5)
        record = events.HostModeChanged(
            host=name, mode=mode.value, reason="", until=None, at_once=wanted.at_once
        )
        finish(self.store.change_host(state, wanted, record))
        self.disabled_hosts = {
            each.name for each in self._rows().hosts.values() if each.mode is Mode.DISABLED
        }

    def _set_mode(self, name: str, mode: Mode) -> None:
        state = self._rows().blueprints.get(name, BlueprintState(name=name))
        wanted = replace(state, mode=mode, mode_author="an operator")
        record = events.ModeChanged(mode=mode.value, reason="", until=None)
        finish(self.store.change_blueprint(state, wanted, record))

    def _set_limit(self, name: str) -> None:
        limit = self.random.choice([0, 1, 2, 4])
        self.blueprints = [
            replace(b, limit=limit, min_ready=min(b.min_ready, limit)) if b.name == name else b
            for b in self.blueprints
        ]
        self.highest_limits[name] = max(self.highest_limits[name], limit)

    async def _hook(self, name: str, moment: Moment) -> None:
        if moment.verb == "destroy" and moment.stage is Stage.BEFORE:
            self.standing[moment.subject] = self._standing(name, moment.subject)
        elif moment.verb == "destroy":
            before = self.standing.pop(moment.subject)
            try:
                self._check_destroyed(name, moment.subject, before)
            except checks.Unsafe as broken:
                self.broken_rules.append(broken)  # raised here it would look like a provider's bug
        if moment.verb not in PROVIDER_VERBS:
            if self.random.random() < 3 * self.misery:  # hosts have a harder time than clouds
                raise HostUnreachable("the storm is in the way")
            return
        if not self._unlucky():
            return
        if self.random.random() < 0.05:
            no_answer: Deferred[None] = Deferred()
            self.unanswered.append(no_answer)  # kept, or it would be collected and its caller end
            await no_answer
        raise self.random.choice(PROVIDER_FAULTS)(f"the storm let {moment.verb} fail")

    def _unlucky(self) -> bool:
        return self.random.random() < self.misery

    # --- what must hold ------------------------------------------------------------------------

    def _rows(self) -> Rows:
        return finish(self.store.rows())

    def _check(self) -> None:
        if self.broken_rules:
            raise self.broken_rules[0]
        rows = self._rows()
        checks.nothing_is_taken_twice(rows)
        checks.locks_say_what_rows_say(rows, self.store.slot_locks)
        checks.limits_are_kept(rows, self.highest_limits)
        checks.budgets_are_kept(rows, self.blueprints)
        checks.leases_hold_what_their_status_says(rows)
        self.tokens.update(resource.token for resource in rows.resources)
        for cloud in self.clouds.values():
            checks.hosts_were_written_down_first(cloud, self.tokens)
        checks.no_lease_begins_on(rows, self.disabled_hosts, self.open_leases)
        checks.no_lease_begins_before_an_end(rows, self.given_notice, self.open_leases)
        self._check_access(rows)
        self.given_notice = {resource.id for resource in rows.resources if resource.end_reason}
        self._check_closed_leases(rows)
        for master in [*self.masters.values(), *self.dead]:
            checks.nothing_is_told_twice(master.warnings)
            for bug in master.bugs:
                raise AssertionError(f"master {master.number}: {bug.getTraceback()}")

    def _check_access(self, rows: Rows) -> None:
        """Masters go by what was configured when their turn began; by decisions to the moment."""
        worlds = [master.controller.world for master in self.masters.values()]
        checks.no_lease_begins_unauthorized(
            rows,
            self.administrator.known(list(self.clouds)),
            [blueprint for world in worlds for blueprint in world.blueprints],
            self.open_leases,
        )

    def _check_closed_leases(self, rows: Rows) -> None:
        """When a slot is given back, what was started for its lease has ended.

        But for a start that its holder is still waiting for: it ends that itself, or, dead, its
        worker gives up.
        """
        living = {lease.id: lease.resource for lease in rows.leases}
        for number, on in self.open_leases.items():
            if number not in living and on is not None:
                lease = finish(self.store.lease(number))
                resource = finish(self.store.resource(on))
                assert lease is not None
                if resource is not None:
                    checks.slot_is_vacant(self.clouds[resource.blueprint], lease, resource)
        self.open_leases = living

    def _check_destroyed(self, name: str, token: str, before: Mapping[str, float]) -> None:
        now, left = self.clock.seconds(), self._standing(name, token).keys()
        destroyed = {
            identity for identity, end in before.items() if identity not in left and now < end
        }
        checks.hosts_may_be_destroyed(self._rows(), token, destroyed, left)

    def _standing(self, name: str, token: str) -> dict[str, float]:
        """Return the hosts with this token that are not being torn down, and when they will end."""
        return {
            machine.identity: math.inf if machine.gone_at is None else machine.gone_at
            for machine in self.clouds[name].named(token)
            if not machine.torn_down
        }

    def _give_up(self) -> None:
        if self.clock.seconds() < self.calm_since + GIVE_UP_SECONDS:
            return
        living = {lease.tag for lease in self._rows().leases}
        for cloud in self.clouds.values():
            for machine in cloud.hosts():
                for tag in set(machine.processes) - living:
                    del machine.processes[tag]

    def _unsettled(self) -> list[object]:
        rows = self._rows()
        accounted = {r.token for r in rows.resources}
        return [
            *(lease for lease in rows.leases if lease.status is not LeaseStatus.DESTROYED),
            *(r for r in rows.resources if not _is_settled(r)),
            *(t for cloud in self.clouds.values() for t in cloud.tokens() if t not in accounted),
            *(tags for cloud in self.clouds.values() for tags in cloud.tags().values() if tags),
            *(
                f"a holder of master {master.number} waits still"
                for master in self.masters.values()
                if not master.at_rest
            ),
        ]


def _is_settled(resource: Resource) -> bool:
    at_rest = resource.power in (Power.RUNNING, Power.PARKED)
    return resource.status is ResourceStatus.ACTIVE and at_rest and not resource.end_reason


def finish(coroutine: Coroutine[Deferred[Any], Any, T]) -> T:
    """Run a coroutine that never really waits, and return what it returned."""
    outcome: list[T] = []
    failure: list[Failure] = []
    Deferred.fromCoroutine(coroutine).addCallbacks(outcome.append, failure.append)
    if failure:
        failure[0].raiseException()
    (result,) = outcome
    return result
