"""What is made of what the providers list, and of what they do not."""

from dataclasses import replace

from buildbot_drydock.actions import (
    CreateHost,
    DestroyHost,
    DestroyStray,
    ListHosts,
    SettleResource,
)
from buildbot_drydock.lifecycle import ResourceEvent
from buildbot_drydock.model import Call, CallKey, Health, Inventory, LeaseStatus, ResourceStatus
from buildbot_drydock.planner import plan
from buildbot_drydock.policy import CLOCK_TOLERANCE_SECONDS
from buildbot_drydock.testing.builders import (
    A_WHILE_AGO,
    NOW,
    blueprint,
    inventory,
    lease,
    observed,
    pending,
    resource,
    state,
    succeeded,
    world,
)
from tests.unit.planned import PlannerTestCase

BREAK, GONE, READY = ResourceEvent.BREAK, ResourceEvent.GONE, ResourceEvent.READY


def unknown(*hosts, **fields) -> Inventory:
    return inventory(*hosts, **{"error": "the provider is unreachable", **fields})


def create(resource):
    return CallKey("create", resource.blueprint, resource.token)


def destroy(resource):
    return CallKey("destroy", resource.blueprint, resource.token)


class TestComingUp(PlannerTestCase):
    def world(self, listed: Inventory, call: Call | None = None, **fields):
        coming = pending(**{"since": NOW - 10, **fields})
        calls = {create(coming): call} if call else {}
        return world(blueprint(), resources=[coming], inventories={"linux": listed}, calls=calls)

    def test_a_host_that_answers_makes_its_resource_active(self) -> None:
        coming, host = pending(since=NOW - 10), observed("token-1", address="10.0.0.1")
        self.assert_plans(
            self.world(inventory(host)),
            SettleResource(coming, READY, "its host answers", host),
        )

    def test_one_that_is_starting_is_waited_for(self) -> None:
        starting = self.world(inventory(observed("token-1", health=Health.STARTING)))
        self.assert_plans(starting)

    def test_one_that_fails_to_start_counts_as_a_failed_launch(self) -> None:
        failing = observed("token-1", health=Health.FAILING, reason="no disk")
        (action,) = plan(self.world(inventory(failing))).actions
        coming = pending(since=NOW - 10)
        self.assertEqual(
            action,
            SettleResource(coming, BREAK, "its host failed to start: no disk", launch_failed=True),
        )

    def test_one_that_takes_too_long_counts_as_a_failed_launch(self) -> None:
        starting = inventory(observed("token-1", health=Health.STARTING))
        late = pending(since=NOW - 900)
        self.assert_plans(
            self.world(starting, since=NOW - 900),
            SettleResource(late, BREAK, "its host took over 900 s to boot", launch_failed=True),
        )
        self.assert_plans(
            self.world(inventory(), Call(succeeded_at=NOW - 900), since=NOW - 900),
            SettleResource(late, BREAK, "its host took over 900 s to boot", launch_failed=True),
        )

    def test_the_loop_wakes_when_it_would_have_taken_too_long(self) -> None:
        starting = inventory(observed("token-1", health=Health.STARTING))
        almost = self.world(starting, since=NOW - 898)
        self.assert_wakes(almost, NOW + 2)

    def test_nobody_is_told_late_while_the_listing_is_unknown(self) -> None:
        starting = unknown(observed("token-1", health=Health.STARTING))
        self.assertEqual(self.planned(self.world(starting, since=0.0), SettleResource), [])

    def test_of_twins_the_readiest_counts(self) -> None:
        starting = observed("token-1", identity="a", health=Health.STARTING)
        ready = observed("token-1", identity="b")
        (settled,) = self.planned(self.world(inventory(starting, ready)), SettleResource)
        self.assertEqual((settled.event, settled.observed), (READY, ready))


class TestAskingForAHost(PlannerTestCase):
    """``create`` is asked again only when the host could have been listed."""

    def world(self, call: Call | None, listed: Inventory, **fields):
        self.coming = pending()
        calls = {create(self.coming): call} if call else {}
        linux = blueprint(**{"listing_delay": 20.0, **fields})
        return world(linux, resources=[self.coming], inventories={"linux": listed}, calls=calls)

    def asked(self, *arguments) -> bool:
        planned = self.planned(self.world(*arguments), CreateHost)
        self.assertIn(planned, ([], [CreateHost(self.coming)]))
        return bool(planned)

    def test_one_that_this_master_never_asked_for_is_asked_for(self) -> None:
        self.assertTrue(self.asked(None, inventory()))
        self.assertTrue(self.asked(None, unknown()))

    def test_not_while_the_call_is_under_way(self) -> None:
        self.assertFalse(self.asked(Call(running=True), inventory()))

    def test_not_while_it_is_listed(self) -> None:
        starting = observed("token-1", health=Health.STARTING)
        self.assertFalse(self.asked(None, inventory(starting)))
        self.assertFalse(self.asked(succeeded(90), inventory(starting)))

    def test_not_before_a_listing_that_could_show_it(self) -> None:
        self.assertFalse(self.asked(succeeded(20), inventory()))
        self.assertFalse(self.asked(succeeded(90), inventory(asked_at=NOW - 80)))

    def test_again_once_such_a_listing_lacks_it(self) -> None:
        self.assertTrue(self.asked(succeeded(21), inventory()))

    def test_not_while_the_listing_is_unknown(self) -> None:
        self.assertFalse(self.asked(succeeded(90), unknown()))

    def test_after_a_failure_it_is_put_off(self) -> None:
        failed = Call(failures=1, retry_at=NOW + 2)
        self.assertFalse(self.asked(failed, inventory()))
        self.assert_wakes(self.world(failed, inventory()), NOW + 2)
        self.assertTrue(self.asked(replace(failed, retry_at=NOW), inventory()))

    def test_while_the_blueprint_backs_off_what_is_wanted_already_is_still_asked_for(self) -> None:
        asked = self.world(None, inventory(), state=state(failures=9, retry_at=NOW + 60))
        self.assertEqual(self.planned(asked, CreateHost), [CreateHost(self.coming)])


class TestActiveHosts(PlannerTestCase):
    def world(self, listed: Inventory, *leases, delay: float = 0.0, **fields):
        active = resource(**fields)
        linux = blueprint(listing_delay=delay)
        return world(linux, resources=[active], leases=leases, inventories={"linux": listed})

    def test_one_that_is_listed_goes_on(self) -> None:
        self.assert_plans(self.world(inventory(resource())))

    def test_one_that_has_gone_breaks(self) -> None:
        self.assert_plans(
            self.world(inventory()), SettleResource(resource(), BREAK, "its host has gone")
        )

    def test_it_breaks_even_while_it_is_leased(self) -> None:
        self.assert_plans(
            self.world(inventory(), lease(on=1)),
            SettleResource(resource(), BREAK, "its host has gone"),
        )

    def test_one_that_is_failing_breaks_with_the_providers_reason(self) -> None:
        failing = observed(resource(), health=Health.FAILING, reason="disk full")
        self.assert_plans(
            self.world(inventory(failing)), SettleResource(resource(), BREAK, "disk full")
        )
        silent = observed(resource(), health=Health.FAILING)
        self.assert_plans(
            self.world(inventory(silent)),
            SettleResource(resource(), BREAK, "its host is failing"),
        )

    def test_a_failure_later_than_the_launch_does_not_count_as_one(self) -> None:
        (settled,) = plan(self.world(inventory())).actions
        self.assertFalse(settled.launch_failed)

    def test_nothing_is_judged_gone_while_the_listing_is_unknown(self) -> None:
        for listed in (unknown(), unknown(observed(resource(), health=Health.FAILING))):
            self.assertEqual(self.planned(self.world(listed), SettleResource), [])

    def test_nothing_is_judged_gone_before_the_first_listing(self) -> None:
        never = replace(self.world(inventory()), inventories={})
        self.assert_plans(never, ListHosts("linux"))

    def test_a_listing_from_before_it_was_active_says_nothing(self) -> None:
        early = inventory(asked_at=A_WHILE_AGO)
        self.assertEqual(self.planned(self.world(early), SettleResource), [])

    def test_a_new_host_may_be_missing_for_the_listing_delay(self) -> None:
        """And a little longer: another master, whose clock differs, made it active."""
        delay = NOW - A_WHILE_AGO - CLOCK_TOLERANCE_SECONDS
        self.assert_plans(self.world(inventory(), delay=delay))
        self.assert_plans(
            self.world(inventory(), delay=delay - 1.0),
            SettleResource(resource(), BREAK, "its host has gone"),
        )

    def test_one_breaks_if_only_a_twin_of_its_host_is_left(self) -> None:
        twin = observed(resource(), identity="twin-of-1")
        self.assert_plans(
            self.world(inventory(twin)), SettleResource(resource(), BREAK, "its host has gone")
        )

    def test_one_whose_listing_fails_leaves_the_others_alone(self) -> None:
        others = [resource(1, "a"), resource(2, "b")]
        broken = world(
            blueprint("a"),
            blueprint("b"),
            resources=others,
            inventories={"a": unknown(), "b": inventory()},
        )
        self.assertEqual(
            self.planned(broken, SettleResource),
            [SettleResource(others[1], BREAK, "its host has gone")],
        )

    def test_starting_again_is_no_failure(self) -> None:
        self.assert_plans(self.world(inventory(observed(resource(), health=Health.STARTING))))


class TestGoing(PlannerTestCase):
    """Destroy, see it gone, close the row: in this order."""

    def world(self, call: Call | None, listed: Inventory, *leases, delay: float = 0.0):
        self.going = resource(status=ResourceStatus.RELEASED)
        calls = {destroy(self.going): call} if call else {}
        linux = blueprint(listing_delay=delay)
        return world(
            linux, resources=[self.going], leases=leases, inventories={"linux": listed}, calls=calls
        )

    def gone(self, call: Call | None, listed: Inventory, *, delay: float = 0.0) -> bool:
        planned = self.planned(self.world(call, listed, delay=delay), SettleResource)
        self.assertIn([action.event for action in planned], ([], [GONE]))
        return bool(planned)

    def test_its_host_is_destroyed_even_if_it_is_not_listed(self) -> None:
        for listed in (inventory(resource()), inventory(), unknown()):
            planned = self.planned(self.world(None, listed), DestroyHost, SettleResource)
            self.assertEqual(planned, [DestroyHost(self.going)])

    def test_so_is_that_of_a_broken_one(self) -> None:
        broken = resource(status=ResourceStatus.BROKEN)
        self.assert_plans(world(blueprint(), resources=[broken]), DestroyHost(broken))

    def test_it_is_closed_once_a_later_listing_lacks_it(self) -> None:
        self.assertTrue(self.gone(succeeded(5), inventory()))
        self.assertTrue(self.gone(succeeded(5), inventory(asked_at=NOW - 5)))
        self.assertFalse(self.gone(succeeded(5), inventory(asked_at=NOW - 6)))

    def test_not_while_it_is_listed(self) -> None:
        self.assertFalse(self.gone(succeeded(5), inventory(resource())))
        torn_down = observed(resource(), health=Health.FAILING)
        self.assertFalse(self.gone(succeeded(5), inventory(torn_down)))

    def test_not_before_it_was_destroyed(self) -> None:
        self.assertFalse(self.gone(None, inventory()))
        self.assertFalse(self.gone(Call(running=True), inventory()))
        self.assertFalse(self.gone(Call(failures=1), inventory()))

    def test_not_while_the_listing_is_unknown(self) -> None:
        self.assertFalse(self.gone(succeeded(5), unknown()))

    def test_not_while_a_host_just_created_could_still_be_missing(self) -> None:
        self.assertFalse(self.gone(succeeded(5), inventory(), delay=101.0))
        self.assertTrue(self.gone(succeeded(5), inventory(), delay=100.0))

    def test_it_is_destroyed_again_after_a_minute(self) -> None:
        listed = inventory(resource())
        early = self.world(succeeded(59), listed)
        self.assertEqual(self.planned(early, DestroyHost), [])
        again = self.world(succeeded(60), listed)
        self.assertEqual(self.planned(again, DestroyHost), [DestroyHost(self.going)])

    def test_the_loop_wakes_for_that(self) -> None:
        waiting = self.world(succeeded(58), inventory(resource()))
        self.assert_wakes(waiting, NOW + 2)

    def test_not_twice_at_once_nor_too_soon_after_a_failure(self) -> None:
        listed = inventory(resource())
        for call in (Call(running=True), Call(failures=1, retry_at=NOW + 2)):
            self.assertEqual(self.planned(self.world(call, listed), DestroyHost), [])

    def test_a_resource_of_another_masters_blueprint_is_left_to_it(self) -> None:
        elsewhere = resource(1, "elsewhere", status=ResourceStatus.BROKEN)
        self.assert_plans(world(blueprint(), resources=[elsewhere, pending(2, "elsewhere")]))

    def test_one_with_a_living_lease_is_destroyed_too_and_the_lease_told(self) -> None:
        # Only a break gets there: a release is refused while a lease holds a slot.
        holder = lease(on=1, status=LeaseStatus.BROKEN)
        planned = self.planned(self.world(None, inventory(resource()), holder), DestroyHost)
        self.assertEqual(planned, [DestroyHost(self.going)])


class TestSweeping(PlannerTestCase):
    STRAY = DestroyStray("linux", "token-9", "", "no living resource accounts for it")

    def world(self, listed: Inventory, call: Call | None = None, *resources, identity: str = ""):
        subject = f"token-9 {identity}".rstrip()
        calls = {CallKey("destroy-stray", "linux", subject): call} if call else {}
        return world(
            blueprint(limit=9), resources=resources, inventories={"linux": listed}, calls=calls
        )

    def test_a_host_that_no_row_accounts_for_is_destroyed(self) -> None:
        self.assert_plans(self.world(inventory(observed("token-9"))), self.STRAY)

    def test_so_it_is_in_whatever_state(self) -> None:
        for health in Health:
            self.assert_plans(self.world(inventory(observed("token-9", health=health))), self.STRAY)

    def test_nothing_is_swept_while_the_listing_is_unknown(self) -> None:
        self.assert_plans(self.world(unknown(observed("token-9"))))

    def test_no_host_with_a_living_row_is_swept(self) -> None:
        for status in (ResourceStatus.PENDING, ResourceStatus.ACTIVE, ResourceStatus.BROKEN):
            row = resource(9, status=status)
            planned = self.planned(self.world(inventory(row), None, row), DestroyStray)
            self.assertEqual(planned, [])

    def test_that_of_another_blueprints_row_is_not_swept_either(self) -> None:
        row = resource(9, "elsewhere")
        self.assertEqual(self.planned(self.world(inventory(row), None, row), DestroyStray), [])

    def test_strays_are_destroyed_again_after_a_minute(self) -> None:
        listed = inventory(observed("token-9"))
        early = self.world(listed, succeeded(59))
        self.assert_plans(early)
        self.assert_wakes(early, NOW + 1)
        self.assert_plans(self.world(listed, succeeded(60)), self.STRAY)

    def test_not_twice_at_once_nor_too_soon_after_a_failure(self) -> None:
        for call in (Call(running=True), Call(failures=1, retry_at=NOW + 2)):
            self.assert_plans(self.world(inventory(observed("token-9")), call))

    def test_one_whose_listing_fails_leaves_the_sweep_of_the_others_alone(self) -> None:
        both = world(
            blueprint("a"),
            blueprint("b"),
            inventories={"a": unknown(observed("x")), "b": inventory(observed("y"))},
        )
        self.assert_plans(both, DestroyStray("b", "y", "", "no living resource accounts for it"))

    def test_of_twins_the_one_the_row_remembers_is_kept(self) -> None:
        row = resource(9)
        mine = observed(row, health=Health.STARTING)
        twin = observed(row, identity="host-0")
        for hosts in ((mine, twin), (twin, mine)):
            self.assert_plans(
                self.world(inventory(*hosts), None, row),
                DestroyStray("linux", "token-9", "host-0", "it is a twin of resource 9"),
            )

    def test_twins_of_a_pending_resource_are_left_alone(self) -> None:
        """Two masters with different listings could keep one each, and destroy both."""
        row = pending(9)
        starting = observed(row, identity="a", health=Health.STARTING)
        for other in (
            observed(row, identity="b", health=Health.STARTING),
            observed(row, identity="b", health=Health.READY),
            observed(row, identity="b", health=Health.FAILING),
        ):
            for hosts in ((starting, other), (other, starting)):
                twins = self.world(inventory(*hosts), None, row)
                self.assertEqual(self.planned(twins, DestroyStray), [])

    def test_twins_are_left_alone_if_the_one_the_row_remembers_is_not_listed(self) -> None:
        row = resource(9)
        strangers = [observed(row, identity=name) for name in ("a", "b")]
        twins = self.world(inventory(*strangers), None, row)
        self.assertEqual(self.planned(twins, DestroyStray), [])

    def test_of_triplets_two_are_destroyed(self) -> None:
        row = resource(9)
        twins = [observed(row, identity=name) for name in ("a", "b")]
        planned = self.planned(self.world(inventory(*twins, row), None, row), DestroyStray)
        self.assertEqual([action.identity for action in planned], ["a", "b"])

    def test_twins_of_an_ended_resource_go_together_by_their_token(self) -> None:
        row = resource(9, status=ResourceStatus.RELEASED)
        twins = inventory(observed(row), observed(row, identity="a"))
        self.assert_plans(self.world(twins, None, row), DestroyHost(row))

    def test_a_twin_is_told_apart_from_a_stray_by_its_identity(self) -> None:
        row = resource(9)
        listed = inventory(row, observed(row, identity="a"))
        self.assert_plans(self.world(listed, succeeded(1), row, identity="a"))
        self.assertEqual(len(plan(self.world(listed, succeeded(1), row)).actions), 1)


class TestListing(PlannerTestCase):
    """Often while a change is expected, seldom otherwise, soon after each change made."""

    linux = blueprint(poll_interval=5.0, sweep_interval=60.0, limit=9)

    def listed(self, seconds_ago: float, *resources, calls=None) -> bool:
        asked_at = NOW - seconds_ago
        hosts = [
            observed(each, health=Health.STARTING)
            for each in resources
            if each.status is ResourceStatus.PENDING
        ]
        active = [each for each in resources if each.status is ResourceStatus.ACTIVE]
        self.given = world(
            self.linux,
            resources=resources,
            inventories={"linux": inventory(*hosts, *active, asked_at=asked_at)},
            calls=calls,
        )
        planned = self.planned(self.given, ListHosts)
        self.assertIn(planned, ([], [ListHosts("linux")]))
        return bool(planned)

    def lists(self, seconds_ago: float, stray: Call, *, subject: str, twin: bool) -> bool:
        """Tell whether the provider of a stray that was told to go is asked what there is."""
        hosts = [resource(1), observed("token-1", identity="i-2")] if twin else [observed("lost")]
        listing = inventory(*hosts, asked_at=NOW - seconds_ago)
        self.given = world(
            self.linux,
            resources=[resource(1)] if twin else [],
            inventories={"linux": listing},
            calls={CallKey("destroy-stray", "linux", subject): stray},
        )
        return bool(self.planned(self.given, ListHosts))

    def test_soon_after_a_stray_was_told_to_go_and_often_until_it_has_gone(self) -> None:
        for subject, twin in (("lost", False), ("token-1 i-2", True)):
            told_since = Call(succeeded_at=NOW - 0.4)
            self.assertTrue(self.lists(0.5, told_since, subject=subject, twin=twin), subject)
            told_before = Call(succeeded_at=NOW - 9)
            self.assertFalse(self.lists(4, told_before, subject=subject, twin=twin), subject)
            self.assert_wakes(self.given, NOW + 1)
            self.assertTrue(self.lists(5, told_before, subject=subject, twin=twin), subject)

    def test_seldom_if_a_stray_has_gone_or_cannot_be_destroyed(self) -> None:
        told = Call(succeeded_at=NOW - 0.4)
        for call, subject, twin in (
            (told, "another", False),
            (told, "token-1 i-9", True),
            (replace(told, failures=1, retry_at=NOW + 99), "lost", False),
            (Call(running=True), "lost", False),
        ):
            self.assertFalse(self.lists(30, call, subject=subject, twin=twin), (call, subject))

    def test_what_was_never_listed_is_listed(self) -> None:
        self.assert_plans(replace(world(self.linux), inventories={}), ListHosts("linux"))

    def test_seldom_while_nothing_is_expected(self) -> None:
        self.assertFalse(self.listed(59, resource()))
        self.assert_wakes(self.given, NOW + 1)
        self.assertTrue(self.listed(60, resource()))
        self.assertTrue(self.listed(60))

    def test_often_while_a_host_is_coming(self) -> None:
        self.assertFalse(self.listed(4, pending()))
        self.assertEqual(plan(self.given).wake_at, NOW + 1)
        self.assertTrue(self.listed(5, pending()))

    def test_often_while_a_host_is_going(self) -> None:
        going = resource(status=ResourceStatus.BROKEN)
        calls = {destroy(going): succeeded(30)}
        # The row is closed by the listing that is there, if it lacks the host.
        self.assertFalse(self.listed(4, going, calls=calls))
        self.assertTrue(self.listed(5, going, calls=calls))

    def test_soon_after_a_host_was_asked_for(self) -> None:
        coming = pending()
        for ago, expected in ((0.25, False), (0.5, True)):
            calls = {create(coming): succeeded(0.125)}
            self.assertIs(self.listed(ago, coming, calls=calls), expected)

    def test_soon_after_a_host_was_destroyed(self) -> None:
        going = resource(status=ResourceStatus.RELEASED)
        for ago, expected in ((0.25, False), (0.5, True)):
            calls = {destroy(going): succeeded(0.125)}
            self.assertIs(self.listed(ago, going, calls=calls), expected)

    def test_not_twice_at_once(self) -> None:
        running = {CallKey("inventory", "linux"): Call(running=True)}
        self.assertFalse(self.listed(999, calls=running))

    def test_after_a_failure_it_is_put_off(self) -> None:
        failed = {CallKey("inventory", "linux"): Call(failures=3, retry_at=NOW + 4)}
        self.assertFalse(self.listed(999, calls=failed))
        self.assert_wakes(self.given, NOW + 4)

    def test_each_blueprint_has_its_own_cadence(self) -> None:
        first, second = blueprint("a", sweep_interval=10.0), blueprint("b")
        old = inventory(asked_at=NOW - 10)
        self.assert_plans(world(first, second, inventories={"a": old, "b": old}), ListHosts("a"))
