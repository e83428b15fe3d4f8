"""What holds for the plan of any world whatever."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock import slotlocks
from buildbot_drydock.actions import (
    AcquireLease,
    BreakLease,
    BuildResource,
    CreateHost,
    DestroyHost,
    DestroyStray,
    GiveNotice,
    ParkHost,
    ReleaseLease,
    RequestApproval,
    ReturnLease,
    SetPower,
    SetPrice,
    SettleResource,
    WakeHost,
)
from buildbot_drydock.authorization import Grant, judge, subjects_of
from buildbot_drydock.costs import hourly_spending, launches_left
from buildbot_drydock.daily_costs import daily_spending, launches_left_in_a_day
from buildbot_drydock.lifecycle import ResourceEvent
from buildbot_drydock.model import Health, LeaseStatus, Power, ResourceStatus, World
from buildbot_drydock.planner import Plan, plan
from buildbot_drydock.planner.order import order_of_service
from buildbot_drydock.policy import (
    keeper,
    meets,
    misfit,
    no_launch,
    out_of_service,
    slots_of,
    unusable_host,
    worn_out,
)
from buildbot_drydock.quota import limits_of
from buildbot_drydock.reasons import AwaitingApproval, Declined, QuotaReached
from tests.unit.worlds import worlds

# The same examples each time: a failure is one of the planner, not of the day.
EXAMPLES = settings(derandomize=True, deadline=None, max_examples=200)

ENDED = (ResourceStatus.RELEASED, ResourceStatus.BROKEN)
LIVING = (LeaseStatus.PENDING, LeaseStatus.ACQUIRED, LeaseStatus.ACTIVE)
RECLAIMED = "it is reclaimed for lease "


def of_kind(planned: Plan, *kinds):
    return [action for action in planned.actions if isinstance(action, kinds)]


def ended_by(planned: Plan) -> set[int]:
    return {each.lease.id for each in of_kind(planned, BreakLease, ReleaseLease, ReturnLease)}


def woken(planned: Plan):
    return [each for each in of_kind(planned, SetPower) if each.power is Power.WAKING]


POWER_MOVES = (
    (Power.RUNNING, Power.PARKING),
    (Power.PARKING, Power.PARKED),
    (Power.PARKED, Power.WAKING),
    (Power.WAKING, Power.RUNNING),
    (Power.PARKED, Power.PARKING),  # as somebody else has started it
)


def waiting(given: World):
    return [each for each in given.leases if each.status is LeaseStatus.PENDING]


def candidates(given: World, lease):
    """The blueprints that could serve a lease, and that it may use."""
    return [each for each in fitting(given, lease) if isinstance(answer(given, each, lease), Grant)]


def answer(given: World, blueprint, lease):
    return judge(blueprint, subjects_of(lease), given.authorizations)


def fitting(given: World, lease):
    return [
        each
        for each in given.blueprints
        if not each.retired
        and each.provides == lease.type
        and (not lease.blueprints or each.name in lease.blueprints)
        and misfit(each, lease.requires) is None
    ]


def living_of(given: World, blueprint):
    return [each for each in given.resources if each.blueprint == blueprint.name]


def listed_host(given: World, action):
    """The listed host that an action is about; None if its blueprint lists none."""
    of = getattr(action, "resource", action)
    (blueprint,) = (each for each in given.blueprints if each.name == of.blueprint)
    if blueprint.hosts is None:
        return None
    return next((each for each in blueprint.hosts if each.name == of.host), None)


def unused(given: World, planned: Plan, blueprint, lease):
    """The listed hosts that would serve a lease, and that nobody uses."""
    users = [*given.resources, *of_kind(planned, BuildResource)]
    taken = {each.host for each in users}
    return [
        host
        for host in blueprint.hosts or ()
        if host.name not in taken and meets(host.labels, lease.requires) and in_service(given, host)
    ]


def in_service(given: World, host) -> bool:
    return unusable_host(host, given.hosts.get(host.name), given.now) is None


def quota_limits(given: World, lease) -> dict[str, int]:
    return limits_of(given.sharing.quotas, lease.owner, subjects_of(lease))


def kept(reasons):
    return [each for each in reasons if isinstance(each, QuotaReached)]


def leases_of(given: World):
    return {each.id: each for each in given.leases}


class TestWhateverTheWorld(SynchronousTestCase):
    @EXAMPLES
    @given(worlds())
    def test_a_listed_host_that_is_out_of_service_is_never_given(self, given: World) -> None:
        for action in of_kind(plan(given), AcquireLease, BuildResource):
            host = listed_host(given, action)
            self.assertTrue(host is None or in_service(given, host))

    @EXAMPLES
    @given(worlds())
    def test_no_listed_host_becomes_two_resources(self, given: World) -> None:
        built = of_kind(plan(given), BuildResource)
        users = Counter(each.host for each in [*given.resources, *built] if each.host)
        self.assertLessEqual(max(users.values(), default=0), 1)
        for action in built:
            host = listed_host(given, action)
            self.assertTrue(host is None or dict(host.labels) == dict(action.labels))

    @EXAMPLES
    @given(worlds())
    def test_what_is_idle_on_a_disabled_host_is_let_go_of(self, given: World) -> None:
        planned = plan(given)
        settled = {each.resource.id for each in of_kind(planned, SettleResource)}
        # A row changes once in a plan: one whose price is written down goes in the next turn.
        asked = {each.resource.id for each in of_kind(planned, CreateHost, SetPrice)}
        leased = {each.resource for each in given.leases}
        for row in given.resources:
            state = given.hosts.get(row.host)
            if state is None or not state.disabled_at(given.now) or row.status in ENDED:
                continue
            host = listed_host(given, row)
            if host is not None and row.id not in leased:
                self.assertIn(row.id, settled | asked)

    @EXAMPLES
    @given(worlds())
    def test_no_limit_is_passed_and_no_place_taken_twice(self, given: World) -> None:
        builds = of_kind(plan(given), BuildResource)
        for blueprint in given.blueprints:
            living = [each for each in given.resources if each.blueprint == blueprint.name]
            built = [each.place for each in builds if each.blueprint == blueprint.name]
            if built:
                self.assertLessEqual(len(living) + len(built), blueprint.limit)
            places = Counter(built) + Counter(each.place for each in living)
            self.assertTrue(all(places[each] == 1 for each in built))

    @EXAMPLES
    @given(worlds())
    def test_no_launch_or_wake_takes_a_blueprint_over_its_budget(self, given: World) -> None:
        planned = plan(given)
        started = [each.blueprint for each in of_kind(planned, BuildResource)]
        started += [each.resource.blueprint for each in woken(planned)]
        for blueprint in given.blueprints:
            built = started.count(blueprint.name)
            most = blueprint.max_hourly_cost
            if built and most is not None:
                spent = hourly_spending(blueprint, living_of(given, blueprint))
                self.assertLessEqual(spent + built * (blueprint.expected_price or 0.0), most)
            most = blueprint.max_daily_cost
            if built and most is not None:
                ended = given.spent.get(blueprint.name, 0.0)
                spent = daily_spending(blueprint, living_of(given, blueprint), ended, given.now)
                self.assertLessEqual(spent + built * (blueprint.expected_price or 0.0), most)

    @EXAMPLES
    @given(worlds())
    def test_what_is_idle_and_about_to_end_is_let_go_of(self, given: World) -> None:
        planned = plan(given)
        settled = {each.resource.id for each in of_kind(planned, SettleResource)}
        leased = {each.resource for each in given.leases}
        for row in given.resources:
            if row.end_reason and row.status not in ENDED and row.id not in leased:
                news = {
                    each.resource.id
                    for each in of_kind(planned, GiveNotice, SetPrice, SetPower, ParkHost, WakeHost)
                }
                self.assertIn(row.id, settled | news)

    @EXAMPLES
    @given(worlds())
    def test_no_slot_and_no_lease_is_given_twice(self, given: World) -> None:
        acquired = of_kind(plan(given), AcquireLease)
        held = [(each.resource, each.slot) for each in given.leases if each.resource is not None]
        slots = Counter(held) + Counter((each.resource.id, each.slot) for each in acquired)
        self.assertLessEqual(max(slots.values(), default=0), 1)
        leases = Counter(each.lease.id for each in acquired)
        self.assertLessEqual(max(leases.values(), default=0), 1)

    @EXAMPLES
    @given(worlds())
    def test_what_is_given_is_fit_to_be_used(self, given: World) -> None:
        planned = plan(given)
        blueprints = {each.name: each for each in given.blueprints}
        settled = {each.resource.id for each in of_kind(planned, SettleResource)}
        noticed = {each.resource.id for each in of_kind(planned, GiveNotice)}
        acquired = of_kind(planned, AcquireLease)
        for action in acquired:
            blueprint = blueprints[action.resource.blueprint]
            self.assertIs(action.resource.status, ResourceStatus.ACTIVE)
            self.assertIs(action.resource.power, Power.RUNNING)
            self.assertNotIn(action.resource.id, settled | noticed)
            self.assertEqual(action.resource.end_reason, "")
            self.assertIsNone(worn_out(blueprint, action.resource, given.now))
            self.assertIsNone(out_of_service(blueprint, given.now))
            self.assertIn(blueprint, candidates(given, action.lease))
            self.assertTrue(meets(action.resource.labels, action.lease.requires))
            self.assertIn(action.slot, range(slots_of(blueprint, listed_host(given, action))))
            self.assertIs(action.activate, not blueprint.prepares)
        for resource, times in Counter(each.resource.id for each in acquired).items():
            (row,) = (each for each in given.resources if each.id == resource)
            most = blueprints[row.blueprint].max_uses
            self.assertTrue(most is None or row.uses + times <= most)

    @EXAMPLES
    @given(worlds())
    def test_no_host_is_destroyed_or_released_under_a_living_lease(self, given: World) -> None:
        planned = plan(given)
        ending = ended_by(planned)
        for action in of_kind(planned, DestroyHost):
            self.assertIn(action.resource.status, ENDED)
            for lease in given.leases:
                if lease.resource == action.resource.id and lease.status in LIVING:
                    self.assertIn(lease.id, ending)
        in_use = {each.resource for each in given.leases}
        in_use |= {each.resource.id for each in of_kind(planned, AcquireLease)}
        for action in of_kind(planned, SettleResource):
            if action.event in (ResourceEvent.RELEASE, ResourceEvent.GONE):
                self.assertNotIn(action.resource.id, in_use)

    @EXAMPLES
    @given(worlds())
    def test_only_what_is_idle_and_stays_is_parked_and_only_what_has_stopped_is_woken(
        self, given: World
    ) -> None:
        planned = plan(given)
        in_use = {each.resource for each in given.leases}
        in_use |= {each.resource.id for each in of_kind(planned, AcquireLease)}
        for action in of_kind(planned, SetPower):
            row, inventory = action.resource, given.inventories[action.resource.blueprint]
            self.assertTrue(inventory.known)
            self.assertIs(row.status, ResourceStatus.ACTIVE)
            self.assertNotIn(row.id, in_use)
            self.assertIn((row.power, action.power), POWER_MOVES)
            host = keeper(inventory.hosts[row.token], row)
            self.assertIsNotNone(host)
            if row.power_since is not None:
                self.assertGreater(inventory.asked_at, row.power_since)
            if action.power is Power.WAKING:
                self.assertIs(host.health, Health.PARKED)
            elif action.power is Power.RUNNING:
                self.assertIs(host.health, Health.READY)

    @EXAMPLES
    @given(worlds())
    def test_a_provider_is_told_only_what_the_row_wishes(self, given: World) -> None:
        planned = plan(given)
        for action in of_kind(planned, ParkHost):
            self.assertIs(action.resource.power, Power.PARKING)
        for action in of_kind(planned, WakeHost):
            self.assertIs(action.resource.power, Power.WAKING)
        changed = {each.resource.id for each in of_kind(planned, SetPower, SettleResource)}
        for action in of_kind(planned, ParkHost, WakeHost):
            self.assertIs(action.resource.status, ResourceStatus.ACTIVE)
            self.assertNotIn(action.resource.id, changed)

    @EXAMPLES
    @given(worlds())
    def test_no_host_that_a_row_accounts_for_is_swept(self, given: World) -> None:
        rows = {each.token: each for each in given.resources}
        for action in of_kind(plan(given), DestroyStray):
            row = rows.get(action.token)
            if row is not None:
                hosts = given.inventories[action.blueprint].hosts[action.token]
                identities = {each.identity for each in hosts}
                self.assertGreater(len(hosts), 1)
                self.assertNotIn(action.identity, ("", row.identity))
                self.assertIn(action.identity, identities)
        spared = Counter(
            (each.blueprint, each.token) for each in of_kind(plan(given), DestroyStray)
        )
        self.assertLessEqual(max(spared.values(), default=0), 1, "of two twins one is kept")

    @EXAMPLES
    @given(worlds())
    def test_an_unknown_listing_judges_nothing_gone_and_sweeps_nothing(self, given: World) -> None:
        known = {name for name, each in given.inventories.items() if each.known}
        planned = plan(given)
        for action in of_kind(planned, DestroyStray):
            self.assertIn(action.blueprint, known)
        for action in of_kind(planned, SettleResource):
            resource = action.resource
            if resource.blueprint in known:
                continue
            self.assertIsNot(action.event, ResourceEvent.GONE)
            if action.event is ResourceEvent.BREAK:
                hosts = given.inventories[resource.blueprint].hosts[resource.token]
                self.assertIs(resource.status, ResourceStatus.PENDING)
                coming = (Health.STARTING, Health.READY)
                failing = any(each.health not in coming for each in hosts)
                self.assertTrue(failing or any(each.notice for each in hosts))

    @EXAMPLES
    @given(worlds())
    def test_each_waiting_lease_is_answered_exactly_once(self, given: World) -> None:
        planned = plan(given)
        answers = Counter(each.lease.id for each in of_kind(planned, AcquireLease))
        answers += Counter(each.lease.id for each in of_kind(planned, BreakLease, ReleaseLease))
        answers += Counter(planned.reasons.keys())
        for lease in waiting(given):
            self.assertEqual(answers[lease.id], 1, lease)
            if lease.id in planned.reasons and fitting(given, lease):
                self.assertGreaterEqual(len(planned.reasons[lease.id]), 1)

    @EXAMPLES
    @given(worlds())
    def test_what_can_not_be_served_now_is_told_of_each_candidate_that_can_not(
        self, given: World
    ) -> None:
        planned = plan(given)
        for lease in waiting(given):
            reasons = planned.reasons.get(lease.id, ())
            named = {each.blueprint for each in reasons}
            for blueprint in fitting(given, lease):
                out = out_of_service(blueprint, given.now)
                blocked = no_launch(blueprint, booting=0, now=given.now)
                refused = not isinstance(answer(given, blueprint, lease), Grant)
                if lease.id in planned.reasons and (
                    refused or (not kept(reasons) and (out or blocked))
                ):
                    self.assertIn(blueprint.name, named)

    @EXAMPLES
    @given(worlds())
    def test_a_lease_breaks_only_if_nothing_could_ever_serve_it_or_it_is_overdue(
        self, given: World
    ) -> None:
        for action in of_kind(plan(given), BreakLease):
            lease = action.lease
            if lease.status is LeaseStatus.PENDING:
                expired = lease.expires_at is not None and lease.expires_at <= given.now
                mine = lease.master in (None, given.master)
                never = all(
                    isinstance(answer(given, each, lease), Declined)
                    for each in fitting(given, lease)
                )
                self.assertTrue(expired or (mine and never))

    @EXAMPLES
    @given(worlds())
    def test_approval_is_asked_for_once_and_only_where_it_is_awaited(self, given: World) -> None:
        planned = plan(given)
        asked = of_kind(planned, RequestApproval)
        keys = [(each.blueprint, each.subject) for each in asked]
        self.assertEqual(len(keys), len(set(keys)))
        self.assertEqual([key for key in keys if key in given.authorizations], [])
        for each in asked:
            awaited = [
                (reason.blueprint, reason.subject)
                for reason in planned.reasons[each.lease]
                if isinstance(reason, AwaitingApproval)
            ]
            self.assertIn((each.blueprint, each.subject), awaited)

    @EXAMPLES
    @given(worlds())
    def test_what_is_given_says_what_authorized_it(self, given: World) -> None:
        blueprints = {each.name: each for each in given.blueprints}
        for action in of_kind(plan(given), AcquireLease):
            blueprint = blueprints[action.resource.blueprint]
            found = answer(given, blueprint, action.lease)
            self.assertEqual(found, Grant(action.authorized_by))

    @EXAMPLES
    @given(worlds())
    def test_no_lease_is_given_and_nothing_started_over_a_quota(self, given: World) -> None:
        """Those that are given, and those that something was started for, are within it together."""
        planned = plan(given)
        acquired = of_kind(planned, AcquireLease)
        leases = {each.id: each for each in given.leases}
        begun = [each.lease for each in acquired]
        begun += [
            leases[each.built_for] for each in of_kind(planned, BuildResource) if each.built_for
        ]
        held = [each for each in given.leases if each.resource is not None]
        for lease in begun:
            for name, limit in quota_limits(given, lease).items():
                counted = [each for each in [*held, *begun] if name in quota_limits(given, each)]
                self.assertLessEqual(len(counted), limit)
        for action in acquired:
            found = [slotlocks.quota_of(key) for key in action.quotas]
            self.assertEqual([each[0] for each in found], list(quota_limits(given, action.lease)))
        locks = Counter(key for each in acquired for key in each.quotas)
        self.assertLessEqual(max(locks.values(), default=0), 1)

    @EXAMPLES
    @given(worlds())
    def test_a_lease_waits_for_a_quota_only_if_that_is_reached(self, given: World) -> None:
        planned = plan(given)
        acquired = {each.lease.id for each in of_kind(planned, AcquireLease)}
        promised = {number for number, some in planned.reasons.items() if not kept(some)}
        for number, reasons in planned.reasons.items():
            for reason in kept(reasons):
                counted = [
                    each for each in given.leases if reason.quota in quota_limits(given, each)
                ]
                served = [
                    each
                    for each in counted
                    if each.resource is not None or each.id in acquired | promised
                ]
                self.assertGreaterEqual(len(served), reason.limit)
                self.assertEqual(
                    reason.limit, quota_limits(given, leases_of(given)[number])[reason.quota]
                )

    @EXAMPLES
    @given(worlds(), st.randoms(use_true_random=False))
    def test_the_order_of_rows_does_not_matter(self, given: World, random) -> None:
        resources, leases = list(given.resources), list(given.leases)
        random.shuffle(resources)
        random.shuffle(leases)
        shuffled = replace(given, resources=tuple(resources), leases=tuple(leases))
        self.assertEqual(plan(shuffled), plan(given))

    @EXAMPLES
    @given(worlds())
    def test_a_resource_is_reclaimed_only_if_nothing_else_could_serve(self, given: World) -> None:
        planned = plan(given)
        leases = {each.id: each for each in given.leases}
        reclaimed = [
            each for each in of_kind(planned, SettleResource) if each.reason.startswith(RECLAIMED)
        ]
        served = Counter(each.reason for each in reclaimed)
        self.assertLessEqual(max(served.values(), default=0), 1, "one for each lease")
        living = Counter(each.blueprint for each in given.resources)
        builds = of_kind(planned, BuildResource)
        living += Counter(each.blueprint for each in builds)
        for action in reclaimed:
            lease = leases[int(action.reason.removeprefix(RECLAIMED))]
            able = [
                each
                for each in candidates(given, lease)
                if out_of_service(each, given.now) is None
                and no_launch(each, booting=0, now=given.now) is None
            ]
            listed = {host.name for each in able for host in each.hosts or ()}
            named = {each.name for each in able}
            self.assertTrue(action.resource.blueprint in named or action.resource.host in listed)
            for blueprint in able:
                probing = no_launch(blueprint, booting=1, now=given.now) is not None
                built = sum(each.blueprint == blueprint.name for each in builds)
                built += sum(e.resource.blueprint == blueprint.name for e in woken(planned))
                spent = hourly_spending(blueprint, living_of(given, blueprint))
                spent += built * (blueprint.expected_price or 0.0)
                full = living[blueprint.name] >= blueprint.limit
                full = full or launches_left(blueprint, spent) < 1
                ended = given.spent.get(blueprint.name, 0.0)
                spent = daily_spending(blueprint, living_of(given, blueprint), ended, given.now)
                spent += built * (blueprint.expected_price or 0.0)
                full = full or launches_left_in_a_day(blueprint, spent) < 1
                self.assertTrue(probing or full or not unused(given, planned, blueprint, lease))

    @EXAMPLES
    @given(worlds())
    def test_among_leases_of_a_kind_none_is_served_before_its_turn(self, given: World) -> None:
        planned = plan(given)
        acquired = {each.lease.id for each in of_kind(planned, AcquireLease)}
        ended = ended_by(planned)
        turns: dict[tuple, list[int]] = {}
        for lease in order_of_service(waiting(given), [], given.sharing, given.now):
            if lease.id not in ended:
                requires = tuple(lease.requires.items())
                limits = tuple(quota_limits(given, lease))
                kind = (lease.type, requires, lease.blueprints, subjects_of(lease), limits)
                turns.setdefault(kind, []).append(lease.id)
        for numbers in turns.values():
            served = [number in acquired for number in numbers]
            self.assertEqual(served, sorted(served, reverse=True))

    @EXAMPLES
    @given(worlds())
    def test_a_row_is_changed_once_and_as_it_was_seen(self, given: World) -> None:
        changed: Counter[tuple[str, int]] = Counter()
        for action in plan(given).actions:
            if isinstance(action, AcquireLease | BreakLease | ReleaseLease | ReturnLease):
                changed["lease", action.lease.id] += 1
                self.assertIn(action.lease, given.leases)
            elif isinstance(action, SettleResource | GiveNotice | SetPrice | SetPower):
                changed["resource", action.resource.id] += 1
                self.assertIn(action.resource, given.resources)
        self.assertLessEqual(max(changed.values(), default=0), 1)

    @EXAMPLES
    @given(worlds())
    def test_no_more_idle_ones_are_released_than_are_over_or_unwanted(self, given: World) -> None:
        planned = plan(given)
        settled = of_kind(planned, SettleResource)
        for blueprint in given.blueprints:
            of_it = [each for each in settled if each.resource.blueprint == blueprint.name]
            over = [each for each in of_it if each.reason.startswith("there are more resources")]
            idle = [each for each in of_it if each.reason.startswith("it was idle")]
            others = [
                each
                for each in of_it
                if each.event in (ResourceEvent.BREAK, ResourceEvent.RELEASE)
                and each not in over
                and each not in idle
            ]
            staying = [
                each
                for each in given.resources
                if each.blueprint == blueprint.name and each.status not in ENDED
            ]
            if over:
                left = len(staying) - len(others) - len(over)
                self.assertGreaterEqual(left, blueprint.limit)

    @EXAMPLES
    @given(worlds())
    def test_the_next_turn_is_never_asked_for_in_the_past(self, given: World) -> None:
        wake_at = plan(given).wake_at
        self.assertTrue(wake_at is None or wake_at > given.now)
