"""Where waiting leases go: each test is one rule, as the worlds in which it decides."""

from dataclasses import replace

from buildbot_drydock.actions import (
    AcquireLease,
    BreakLease,
    BuildResource,
    SettleResource,
)
from buildbot_drydock.lifecycle import ResourceEvent
from buildbot_drydock.model import Call, CallKey, LeaseStatus, Mode, Placement, ResourceStatus
from buildbot_drydock.planner import plan
from buildbot_drydock.testing.builders import (
    A_WHILE_AGO,
    NOW,
    blueprint,
    expected_inventory,
    inventory,
    lease,
    pending,
    resource,
    state,
    world,
)
from tests.unit.planned import PlannerTestCase

RELEASED = ResourceStatus.RELEASED


def ending(number: int = 1, of: str = "linux", **fields):
    """A resource that was released a moment ago."""
    return resource(number, of, status=RELEASED, **fields)


def torn_down(*resources):
    """The calls by which these are being destroyed already."""
    return {CallKey("destroy", r.blueprint, r.token): Call(running=True) for r in resources}


class TestFreeSlotFirst(PlannerTestCase):
    def test_a_free_slot_is_taken_even_if_there_is_room_to_build(self) -> None:
        linux = blueprint(limit=5)
        idle = resource()
        self.assert_plans(
            world(linux, resources=[idle], leases=[lease()]),
            AcquireLease(lease(), idle, 0, True),
        )

    def test_a_free_slot_of_the_last_blueprint_goes_before_building_in_the_first(self) -> None:
        first, last = blueprint("a", limit=5), blueprint("b")
        idle = resource(1, "b")
        self.assert_plans(
            world(first, last, resources=[idle], leases=[lease()]),
            AcquireLease(lease(), idle, 0, True),
        )

    def test_of_several_blueprints_the_first_configured_gives_its_slot(self) -> None:
        resources = [resource(1, "b"), resource(2, "a")]
        self.assert_plans(
            world(blueprint("a"), blueprint("b"), resources=resources, leases=[lease()]),
            AcquireLease(lease(), resources[1], 0, True),
        )

    def test_a_slot_that_needs_preparing_is_not_active_at_once(self) -> None:
        self.assert_plans(
            world(blueprint(prepares=True), resources=[resource()], leases=[lease()]),
            AcquireLease(lease(), resource(), 0, False),
        )

    def test_the_lowest_free_slot_of_a_resource_is_given(self) -> None:
        linux = blueprint(leases_per_resource=3)
        leases = [lease(1, on=1, slot=0), lease(2, on=1, slot=2), lease(3)]
        self.assert_plans(
            world(linux, resources=[resource(uses=2)], leases=leases),
            AcquireLease(leases[2], resource(uses=2), 1, True),
        )

    def test_a_resource_that_had_more_slots_before_is_given_to_nobody_beyond_what_it_has(
        self,
    ) -> None:
        linux = blueprint(leases_per_resource=2)
        held = [lease(1, on=1, slot=1), lease(2, on=1, slot=4)]
        self.assert_plans(world(linux, resources=[resource(uses=2)], leases=[*held, lease(3)]))
        self.assert_plans(
            world(linux, resources=[resource(uses=2)], leases=[held[1], lease(3), lease(4)]),
            AcquireLease(lease(3), resource(uses=2), 0, True),
        )

    def test_a_slot_is_taken_until_its_ended_lease_is_vacated(self) -> None:
        gone = lease(1, on=1, status=LeaseStatus.RELEASED)
        vacating = {CallKey("vacate", "linux", gone.tag): Call(running=True)}
        linux = blueprint(vacates=True)
        with_calls = world(linux, resources=[resource()], leases=[gone, lease(2)], calls=vacating)
        self.assert_plans(with_calls)

    def test_backing_off_keeps_nobody_from_a_free_slot(self) -> None:
        failing = state(failures=2, retry_at=NOW + 60)
        self.assert_plans(
            world(blueprint(state=failing), resources=[resource()], leases=[lease()]),
            AcquireLease(lease(), resource(), 0, True),
        )

    def test_a_resource_that_breaks_now_is_given_to_nobody(self) -> None:
        gone = world(
            blueprint(),
            resources=[resource()],
            leases=[lease()],
            inventories={"linux": inventory()},
        )
        self.assertEqual(self.planned(gone, AcquireLease), [])

    def test_resources_that_are_not_active_are_given_to_nobody(self) -> None:
        linux = blueprint(limit=3)
        resources = [
            pending(1),
            resource(2, status=ResourceStatus.RELEASED),
            resource(3, status=ResourceStatus.BROKEN),
        ]
        waiting = world(linux, resources=resources, leases=[lease(1), lease(2)])
        self.assertEqual(self.planned(waiting, AcquireLease), [])


class TestPackAndSpread(PlannerTestCase):
    leases = [lease(1, on=2, slot=0), lease(2, on=3, slot=0), lease(3, on=3, slot=1), lease(9)]
    resources = [resource(1), resource(2), resource(3)]

    def given(self, placement: Placement, **fields) -> int:
        linux = blueprint(limit=3, leases_per_resource=3, placement=placement, **fields)
        (action,) = self.planned(
            world(linux, resources=self.resources, leases=self.leases), AcquireLease
        )
        return action.resource.id

    def test_pack_fills_the_fullest(self) -> None:
        self.assertEqual(self.given(Placement.PACK), 3)

    def test_spread_uses_the_emptiest(self) -> None:
        self.assertEqual(self.given(Placement.SPREAD), 1)

    def test_resources_with_differing_labels_are_compared_too(self) -> None:
        images = {"image": ("bookworm", "trixie")}
        empty = resource(1, labels={"image": "bookworm"})
        half = resource(2, labels={"image": "trixie"})
        leases = [lease(1, on=half), lease(2)]
        for placement, expected in ((Placement.PACK, half), (Placement.SPREAD, empty)):
            linux = blueprint(limit=2, leases_per_resource=2, placement=placement, choices=images)
            (action,) = self.planned(
                world(linux, resources=[empty, half], leases=leases), AcquireLease
            )
            self.assertEqual(action.resource, expected)

    def test_pack_fills_one_resource_before_the_next(self) -> None:
        linux = blueprint(limit=2, leases_per_resource=2)
        resources = [resource(1), resource(2)]
        leases = [lease(number) for number in (1, 2, 3)]
        self.assert_plans(
            world(linux, resources=resources, leases=leases),
            AcquireLease(leases[0], resources[0], 0, True),
            AcquireLease(leases[1], resources[0], 1, True),
            AcquireLease(leases[2], resources[1], 0, True),
        )

    def test_spread_takes_turns(self) -> None:
        linux = blueprint(limit=2, leases_per_resource=2, placement=Placement.SPREAD)
        leases = [lease(number) for number in (1, 2, 3, 4)]
        actions = self.planned(
            world(linux, resources=[resource(1), resource(2)], leases=leases), AcquireLease
        )
        self.assertEqual(
            [(a.resource.id, a.slot) for a in actions], [(1, 0), (2, 0), (1, 1), (2, 1)]
        )


class TestWhatIsComing(PlannerTestCase):
    def test_a_lease_waits_for_a_resource_that_is_coming(self) -> None:
        self.assert_plans(world(blueprint(limit=5), resources=[pending()], leases=[lease()]))

    def test_only_as_many_wait_for_it_as_it_has_slots(self) -> None:
        linux = blueprint(limit=5, leases_per_resource=2)
        leases = [lease(number) for number in (1, 2, 3)]
        self.assert_plans(
            world(linux, resources=[pending()], leases=leases), BuildResource("linux", 1, {}, 3)
        )

    def test_only_as_many_wait_for_it_as_it_may_serve_in_its_life(self) -> None:
        linux = blueprint(limit=5, leases_per_resource=2, max_uses=1)
        leases = [lease(number) for number in (1, 2)]
        self.assert_plans(
            world(linux, resources=[pending()], leases=leases), BuildResource("linux", 1, {}, 2)
        )

    def test_what_is_coming_in_the_last_blueprint_goes_before_building_in_the_first(self) -> None:
        first, last = blueprint("a", limit=5), blueprint("b")
        self.assert_plans(world(first, last, resources=[pending(1, "b")], leases=[lease()]))

    def test_one_that_is_coming_and_does_not_fit_is_not_waited_for(self) -> None:
        linux = blueprint(limit=5, choices={"image": ("bookworm", "trixie")})
        coming = pending(1, labels={"image": "bookworm"})
        asking = lease(requires={"image": "trixie"})
        self.assert_plans(
            world(linux, resources=[coming], leases=[asking]),
            BuildResource("linux", 1, {"image": "trixie"}, 1),
        )

    def test_one_whose_launch_has_just_failed_is_not_waited_for(self) -> None:
        late = pending(1, since=NOW - 900.0)
        planned = self.planned(
            world(blueprint(limit=2), resources=[late], leases=[lease()]), BuildResource
        )
        self.assertEqual(planned, [BuildResource("linux", 1, {}, 1)])

    def test_one_that_becomes_ready_in_this_turn_is_given_in_the_next(self) -> None:
        coming = pending()
        ready = {"linux": inventory(coming)}
        planned = plan(
            world(blueprint(limit=5), resources=[coming], leases=[lease()], inventories=ready)
        ).actions
        self.assertEqual([type(action) for action in planned], [SettleResource])


class TestBuilding(PlannerTestCase):
    def test_a_resource_is_built_for_a_lease_that_nothing_serves(self) -> None:
        self.assert_plans(world(blueprint(), leases=[lease(7)]), BuildResource("linux", 0, {}, 7))

    def test_one_is_built_for_each_lease_up_to_the_limit(self) -> None:
        leases = [lease(number) for number in (1, 2, 3)]
        self.assert_plans(
            world(blueprint(limit=2), leases=leases),
            BuildResource("linux", 0, {}, 1),
            BuildResource("linux", 1, {}, 2),
        )

    def test_what_is_just_being_built_is_shared(self) -> None:
        linux = blueprint(limit=5, leases_per_resource=2)
        leases = [lease(number) for number in (1, 2, 3)]
        self.assert_plans(
            world(linux, leases=leases),
            BuildResource("linux", 0, {}, 1),
            BuildResource("linux", 1, {}, 3),
        )

    def test_the_lowest_free_place_is_claimed(self) -> None:
        linux = blueprint(limit=4)
        taken = [resource(1, place=0), resource(2, place=2)]
        leases = [lease(1, on=1), lease(2, on=2), lease(3), lease(4)]
        self.assert_plans(
            world(linux, resources=taken, leases=leases),
            BuildResource("linux", 1, {}, 3),
            BuildResource("linux", 3, {}, 4),
        )

    def test_the_place_of_an_ended_resource_is_taken_until_its_host_is_gone(self) -> None:
        gone = ending()
        self.assert_plans(
            world(blueprint(limit=2), resources=[gone], leases=[lease()], calls=torn_down(gone)),
            BuildResource("linux", 1, {}, 1),
        )

    def test_labels_are_chosen_as_the_lease_requires(self) -> None:
        linux = blueprint(labels={"os": "linux"}, choices={"image": ("bookworm", "trixie")})
        self.assert_plans(
            world(linux, leases=[lease(requires={"image": "trixie"})]),
            BuildResource("linux", 0, {"image": "trixie", "os": "linux"}, 1),
        )

    def test_the_first_blueprint_with_room_builds(self) -> None:
        leases = [lease(1), lease(2)]
        self.assert_plans(
            world(blueprint("a"), blueprint("b"), leases=leases),
            BuildResource("a", 0, {}, 1),
            BuildResource("b", 0, {}, 2),
        )

    def test_a_lease_is_served_only_by_the_blueprints_it_allows(self) -> None:
        self.assert_plans(
            world(blueprint("a"), blueprint("b"), leases=[lease(blueprints=("b",))]),
            BuildResource("b", 0, {}, 1),
        )

    def test_a_lease_is_served_only_by_what_provides_its_type(self) -> None:
        copies = blueprint("copies", provides="working-copy")
        self.assert_plans(
            world(blueprint(), copies, leases=[lease(type="working-copy")]),
            BuildResource("copies", 0, {}, 1),
        )


class TestOrder(PlannerTestCase):
    def winner(self, *leases) -> int:
        (action,) = self.planned(
            world(blueprint(), resources=[resource()], leases=leases), AcquireLease
        )
        return action.lease.id

    def test_the_oldest_goes_first(self) -> None:
        leases = [lease(1, requested_at=NOW - 10), lease(2, requested_at=NOW - 20)]
        self.assertEqual(self.winner(*leases), 2)

    def test_a_higher_priority_goes_before_age(self) -> None:
        leases = [lease(1, requested_at=NOW - 99), lease(2, priority=1, requested_at=NOW)]
        self.assertEqual(self.winner(*leases), 2)

    def test_among_equals_the_lower_number_goes_first(self) -> None:
        self.assertEqual(self.winner(lease(2), lease(1)), 1)


class TestWarmResources(PlannerTestCase):
    def test_as_many_are_kept_ready_as_asked_for(self) -> None:
        self.assert_plans(
            world(blueprint(limit=5, min_ready=2)),
            BuildResource("linux", 0, {}, None),
            BuildResource("linux", 1, {}, None),
        )

    def test_idle_and_coming_ones_count_as_ready(self) -> None:
        linux = blueprint(limit=5, min_ready=2)
        self.assert_plans(world(linux, resources=[resource(1), pending(2)]))

    def test_leased_ones_do_not_count(self) -> None:
        linux = blueprint(limit=5, min_ready=1)
        self.assert_plans(
            world(linux, resources=[resource()], leases=[lease(on=1)]),
            BuildResource("linux", 1, {}, None),
        )

    def test_one_that_is_given_away_now_is_replaced_now(self) -> None:
        linux = blueprint(limit=5, min_ready=1)
        self.assert_plans(
            world(linux, resources=[resource()], leases=[lease()]),
            AcquireLease(lease(), resource(), 0, True),
            BuildResource("linux", 1, {}, None),
        )

    def test_one_that_a_lease_waits_for_does_not_count(self) -> None:
        linux = blueprint(limit=5, min_ready=1)
        self.assert_plans(
            world(linux, resources=[pending()], leases=[lease()]),
            BuildResource("linux", 1, {}, None),
        )

    def test_a_worn_out_one_does_not_count(self) -> None:
        linux = blueprint(limit=5, min_ready=1, max_uses=3)
        planned = self.planned(world(linux, resources=[resource(uses=3)]), BuildResource)
        self.assertEqual(planned, [BuildResource("linux", 1, {}, None)])

    def test_the_limit_holds_for_warm_ones(self) -> None:
        self.assert_plans(
            world(blueprint(limit=1, min_ready=3)), BuildResource("linux", 0, {}, None)
        )

    def test_waiting_leases_go_before_warm_ones(self) -> None:
        self.assert_plans(
            world(blueprint(limit=1, min_ready=1), leases=[lease()]),
            BuildResource("linux", 0, {}, 1),
        )

    def test_one_that_backs_off_keeps_none_ready(self) -> None:
        failing = state(failures=1, retry_at=NOW + 5)
        self.assert_plans(world(blueprint(min_ready=1, state=failing)))

    def test_the_first_choice_is_kept_ready(self) -> None:
        linux = blueprint(min_ready=1, choices={"image": ("bookworm", "trixie")})
        self.assert_plans(world(linux), BuildResource("linux", 0, {"image": "bookworm"}, None))


IMAGES = {"image": ("bookworm", "trixie")}
BOOKWORM, TRIXIE = {"image": "bookworm"}, {"image": "trixie"}


def reclaimed(resource, number: int) -> SettleResource:
    return SettleResource(resource, ResourceEvent.RELEASE, f"it is reclaimed for lease {number}")


class TestReclaiming(PlannerTestCase):
    """A full blueprint whose idle resources are of another image than is asked for."""

    def test_an_idle_resource_makes_room_for_one_that_fits(self) -> None:
        idle = resource(labels=BOOKWORM)
        asking = lease(requires=TRIXIE)
        self.assert_plans(
            world(blueprint(choices=IMAGES), resources=[idle], leases=[asking]),
            reclaimed(idle, 1),
        )

    def test_the_least_recently_used_goes_first(self) -> None:
        used = resource(1, labels=BOOKWORM, last_used_at=NOW - 5)
        longest = resource(2, labels=BOOKWORM, last_used_at=NOW - 50)
        self.assert_plans(
            world(
                blueprint(limit=2, choices=IMAGES),
                resources=[used, longest],
                leases=[lease(requires=TRIXIE)],
            ),
            reclaimed(longest, 1),
        )

    def test_one_that_was_never_used_is_idle_since_it_came(self) -> None:
        fresh = resource(1, labels=BOOKWORM, since=NOW - 1)
        used = resource(2, labels=BOOKWORM, last_used_at=NOW - 50)
        self.assert_plans(
            world(
                blueprint(limit=2, choices=IMAGES),
                resources=[fresh, used],
                leases=[lease(requires=TRIXIE)],
            ),
            reclaimed(used, 1),
        )

    def test_each_lease_reclaims_no_more_than_one(self) -> None:
        idle = [resource(number, labels=BOOKWORM) for number in (1, 2, 3)]
        leases = [lease(number, requires=TRIXIE) for number in (1, 2)]
        self.assert_plans(
            world(blueprint(limit=3, choices=IMAGES), resources=idle, leases=leases),
            reclaimed(idle[0], 1),
            reclaimed(idle[1], 2),
        )

    def test_one_that_is_ending_already_counts(self) -> None:
        gone, idle = ending(1, labels=BOOKWORM), resource(2, labels=BOOKWORM)
        linux = blueprint(limit=2, choices=IMAGES)
        one = world(
            linux, resources=[gone, idle], leases=[lease(1, requires=TRIXIE)], calls=torn_down(gone)
        )
        self.assert_plans(one, because="the place of resource 1 comes free")
        two = replace(one, leases=(*one.leases, lease(2, requires=TRIXIE)))
        self.assert_plans(two, reclaimed(idle, 2), because="it serves lease 1 only")

    def test_what_is_leased_is_never_reclaimed(self) -> None:
        leased = resource(labels=BOOKWORM)
        leases = [lease(1, on=leased), lease(2, requires=TRIXIE, priority=9)]
        self.assert_plans(world(blueprint(choices=IMAGES), resources=[leased], leases=leases))

    def test_what_is_given_away_in_this_turn_is_not_reclaimed(self) -> None:
        idle = resource(labels=BOOKWORM)
        leases = [lease(1, requires=BOOKWORM, priority=1), lease(2, requires=TRIXIE)]
        self.assert_plans(
            world(blueprint(choices=IMAGES), resources=[idle], leases=leases),
            AcquireLease(leases[0], idle, 0, True),
        )

    def test_what_is_reclaimed_is_given_to_nobody_in_the_same_turn(self) -> None:
        idle = resource(labels=BOOKWORM)
        leases = [lease(1, requires=TRIXIE, priority=1), lease(2, requires=BOOKWORM)]
        planned = plan(world(blueprint(choices=IMAGES), resources=[idle], leases=leases)).actions
        given = {a.resource.id for a in planned if isinstance(a, AcquireLease)}
        released = {a.resource.id for a in planned if isinstance(a, SettleResource)}
        self.assertEqual(given & released, set())

    def test_nothing_is_reclaimed_while_another_candidate_has_room(self) -> None:
        full, roomy = blueprint("a", choices=IMAGES), blueprint("b", choices=IMAGES)
        self.assert_plans(
            world(
                full,
                roomy,
                resources=[resource(1, "a", labels=BOOKWORM)],
                leases=[lease(requires=TRIXIE)],
            ),
            BuildResource("b", 0, TRIXIE, 1),
        )

    def test_nothing_is_reclaimed_while_a_fitting_one_is_coming(self) -> None:
        linux = blueprint(limit=2, choices=IMAGES)
        resources = [resource(1, labels=BOOKWORM), pending(2, labels=TRIXIE)]
        self.assert_plans(world(linux, resources=resources, leases=[lease(requires=TRIXIE)]))

    def test_a_failure_never_leads_to_it(self) -> None:
        idle = resource(labels=BOOKWORM)
        for trouble in (
            state(failures=1, retry_at=NOW + 5),
            state(misconfigured=True, failures=1, retry_at=NOW + 5),
        ):
            linux = blueprint(limit=1, choices=IMAGES, state=trouble)
            self.assert_plans(world(linux, resources=[idle], leases=[lease(requires=TRIXIE)]))

    def test_a_blueprint_that_probes_reclaims_nothing(self) -> None:
        probing = state(failures=5)
        linux = blueprint(limit=2, choices=IMAGES, state=probing)
        resources = [resource(1, labels=BOOKWORM), pending(2, labels=BOOKWORM)]
        self.assert_plans(world(linux, resources=resources, leases=[lease(requires=TRIXIE)]))

    def test_a_blueprint_out_of_service_reclaims_nothing(self) -> None:
        linux = blueprint(choices=IMAGES, state=state(mode=Mode.PAUSED))
        idle = resource(labels=BOOKWORM)
        self.assert_plans(world(linux, resources=[idle], leases=[lease(requires=TRIXIE)]))

    def test_a_worn_out_resource_can_be_reclaimed(self) -> None:
        linux = blueprint(max_uses=1)
        old = resource(uses=1)
        self.assert_plans(world(linux, resources=[old], leases=[lease()]), reclaimed(old, 1))


class TestTrouble(PlannerTestCase):
    def test_one_that_backs_off_builds_nothing_and_the_next_candidate_does(self) -> None:
        failing = blueprint("a", limit=5, state=state(failures=1, retry_at=NOW + 5))
        self.assert_plans(world(failing, leases=[lease()]))
        self.assert_plans(
            world(failing, blueprint("b"), leases=[lease()]), BuildResource("b", 0, {}, 1)
        )

    def test_its_time_over_it_builds_again(self) -> None:
        failing = blueprint(state=state(failures=1, retry_at=NOW))
        self.assert_plans(world(failing, leases=[lease()]), BuildResource("linux", 0, {}, 1))

    def test_with_its_budget_spent_it_probes_with_one_host_at_a_time(self) -> None:
        spent = blueprint(limit=9, state=state(failures=5))
        leases = [lease(number) for number in (1, 2, 3)]
        self.assert_plans(world(spent, leases=leases), BuildResource("linux", 0, {}, 1))
        self.assert_plans(world(spent, resources=[pending()], leases=leases))

    def test_what_has_ended_does_not_keep_it_from_probing(self) -> None:
        spent = blueprint(limit=9, state=state(failures=5))
        gone = ending()
        self.assert_plans(
            world(spent, resources=[gone], leases=[lease()], calls=torn_down(gone)),
            BuildResource("linux", 1, {}, 1),
        )

    def test_a_misconfigured_one_builds_nothing_and_its_leases_wait(self) -> None:
        wrong = blueprint(state=state(misconfigured=True, failures=1, retry_at=NOW + 5))
        self.assert_plans(world(wrong, leases=[lease()]))

    def test_a_paused_draining_or_disabled_one_gives_and_builds_nothing(self) -> None:
        for mode in (Mode.PAUSED, Mode.DRAINING, Mode.DISABLED):
            stopped = blueprint(limit=5, state=state(mode=mode))
            waiting = world(stopped, resources=[resource(1), pending(2)], leases=[lease()])
            self.assertEqual(self.planned(waiting, AcquireLease, BuildResource), [], mode)

    def test_a_pause_ends_by_itself(self) -> None:
        paused = blueprint(state=state(mode=Mode.PAUSED, mode_until=NOW))
        self.assert_plans(world(paused, leases=[lease()]), BuildResource("linux", 0, {}, 1))

    def test_a_worn_out_resource_takes_no_further_lease(self) -> None:
        for old in (
            world(blueprint(max_uses=2, limit=2), resources=[resource(uses=2)], leases=[lease()]),
            world(blueprint(max_age=100.0, limit=2), resources=[resource()], leases=[lease()]),
        ):
            self.assertEqual(self.planned(old, AcquireLease), [])
            self.assertEqual(len(self.planned(old, BuildResource)), 1)

    def test_only_as_many_slots_are_given_as_uses_are_left(self) -> None:
        linux = blueprint(max_uses=5, leases_per_resource=4)
        leases = [lease(number) for number in (1, 2, 3)]
        planned = self.planned(
            world(linux, resources=[resource(uses=3)], leases=leases), AcquireLease
        )
        self.assertEqual([action.lease.id for action in planned], [1, 2])


class TestWhatNeverFits(PlannerTestCase):
    def test_it_breaks_naming_what_each_candidate_lacks(self) -> None:
        linux, bsd = blueprint(labels={"os": "linux"}), blueprint("bsd", labels={"os": "bsd"})
        asking = lease(requires={"os": "hurd"})
        self.assert_plans(
            world(linux, bsd, leases=[asking]),
            BreakLease(
                asking,
                "linux never fits: os=hurd is required, it offers linux; "
                "bsd never fits: os=hurd is required, it offers bsd",
            ),
        )

    def test_it_breaks_if_nothing_of_its_type_is_configured(self) -> None:
        asking = lease(type="windows")
        self.assert_plans(
            world(blueprint(), leases=[asking]),
            BreakLease(asking, "no configured blueprint provides a windows"),
        )

    def test_it_breaks_if_none_of_those_it_allows_is_configured(self) -> None:
        asking = lease(blueprints=("gone", "lost"))
        self.assert_plans(
            world(blueprint(), leases=[asking]),
            BreakLease(asking, "no configured blueprint among gone, lost provides a host"),
        )

    def test_only_the_master_that_asked_judges_so(self) -> None:
        asking = lease(master=2, type="windows")
        self.assert_plans(world(blueprint(), leases=[asking], master=1))
        self.assertEqual(
            len(self.planned(world(blueprint(), leases=[asking], master=2), BreakLease)), 1
        )

    def test_every_master_judges_what_no_master_asked_for(self) -> None:
        asking = lease(master=None, type="windows")
        self.assertEqual(len(self.planned(world(leases=[asking], master=7), BreakLease)), 1)

    def test_a_retired_blueprint_is_no_candidate(self) -> None:
        retired = world(blueprint(retired=True), leases=[lease()])
        self.assertEqual(len(self.planned(retired, BreakLease)), 1)

    def test_what_could_fit_waits_however_long_it_takes(self) -> None:
        for trouble in (
            state(mode=Mode.DISABLED),
            state(misconfigured=True, retry_at=NOW + 1),
            state(failures=99, retry_at=NOW + 1),
        ):
            waiting = world(blueprint(state=trouble), leases=[lease(requested_at=0.0)])
            self.assert_plans(waiting)
            self.assertEqual(len(plan(waiting).reasons[1]), 1)


class TestWhatItIsNotAbout(PlannerTestCase):
    def test_only_pending_leases_are_placed(self) -> None:
        linux = blueprint(limit=9, vacates=True)
        resources = [resource(1), resource(2), resource(3)]
        leases = [
            lease(1, on=1),
            lease(2, on=2, status=LeaseStatus.RELEASED),
            lease(3, on=3, status=LeaseStatus.BROKEN),
        ]
        planned = self.planned(
            world(linux, resources=resources, leases=leases), AcquireLease, BuildResource
        )
        self.assertEqual(planned, [])

    def test_a_lease_that_ends_in_this_turn_is_not_placed(self) -> None:
        expired = lease(expires_at=NOW)
        self.assertEqual(
            self.planned(world(blueprint(), leases=[expired]), AcquireLease, BuildResource), []
        )
        self.assertEqual(plan(world(blueprint(), leases=[expired])).reasons, {})

    def test_an_unknown_listing_does_not_keep_leases_from_their_slots(self) -> None:
        idle = resource()
        unknown = replace(expected_inventory("linux", [idle], A_WHILE_AGO), error="unreachable")
        planned = self.planned(
            world(blueprint(), resources=[idle], leases=[lease()], inventories={"linux": unknown}),
            AcquireLease,
        )
        self.assertEqual(planned, [AcquireLease(lease(), idle, 0, True)])

    def test_resources_of_a_blueprint_that_is_not_ours_are_left_alone(self) -> None:
        self.assert_plans(
            world(blueprint(), resources=[resource(1, "elsewhere")], leases=[lease()]),
            BuildResource("linux", 0, {}, 1),
        )
