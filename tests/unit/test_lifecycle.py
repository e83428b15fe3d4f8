from enum import Enum

from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.errors import IllegalMove
from buildbot_drydock.lifecycle import (
    LATE,
    LEASE_MOVES,
    MOST_RETURNS,
    NEVER,
    RESOURCE_MOVES,
    LeaseEvent,
    Mark,
    ResourceEvent,
    advance,
)
from buildbot_drydock.model import LeaseStatus, ResourceStatus

TABLES = [
    (RESOURCE_MOVES, ResourceStatus, ResourceEvent),
    (LEASE_MOVES, LeaseStatus, LeaseEvent),
]


def followers(moves, status) -> set[Enum]:
    return {following for following in moves[status].values() if not isinstance(following, Mark)}


def reachable(moves, status) -> set[Enum]:
    reached: set[Enum] = set()
    new = followers(moves, status)
    while new - reached:
        reached |= new
        new = {each for seen in reached for each in followers(moves, seen)}
    return reached


class TestEveryTable(SynchronousTestCase):
    def test_every_cell_is_written(self) -> None:
        for moves, statuses, events in TABLES:
            self.assertEqual(set(moves), set(statuses))
            for status in statuses:
                self.assertEqual(set(moves[status]), set(events), status)
                for following in moves[status].values():
                    self.assertIsInstance(following, (statuses, Mark))

    def test_no_event_leads_to_the_status_it_came_in(self) -> None:
        # That would be late news, and late news changes nothing.
        for moves, statuses, _ in TABLES:
            for status in statuses:
                self.assertNotIn(status, followers(moves, status))

    def test_every_status_can_reach_the_end(self) -> None:
        for moves, statuses, _ in TABLES:
            for status in statuses:
                if status.name != "DESTROYED":
                    self.assertIn(statuses["DESTROYED"], reachable(moves, status), status)

    def test_nothing_leaves_the_end(self) -> None:
        for moves, statuses, _ in TABLES:
            self.assertEqual(followers(moves, statuses["DESTROYED"]), set())

    def test_every_status_is_reached_from_pending(self) -> None:
        for moves, statuses, _ in TABLES:
            expected = set(statuses) - {statuses["PENDING"]}
            self.assertEqual(
                reachable(moves, statuses["PENDING"]) | {statuses["PENDING"]},
                expected | {statuses["PENDING"]},
            )


class TestRounds(SynchronousTestCase):
    def test_a_resource_never_comes_round_again(self) -> None:
        for status in ResourceStatus:
            self.assertNotIn(status, reachable(RESOURCE_MOVES, status))

    def test_only_a_lease_that_was_acquired_comes_round_again(self) -> None:
        back = {
            (status, event)
            for status in LeaseStatus
            for event, following in LEASE_MOVES[status].items()
            if following is LeaseStatus.PENDING
        }
        self.assertEqual(back, {(LeaseStatus.ACQUIRED, LeaseEvent.RETURN)})
        round_trip = {s for s in LeaseStatus if s in reachable(LEASE_MOVES, s)}
        self.assertEqual(round_trip, {LeaseStatus.PENDING, LeaseStatus.ACQUIRED})

    def test_it_comes_round_no_more_than_four_times(self) -> None:
        self.assertEqual(MOST_RETURNS, 5)


class TestWhatMatters(SynchronousTestCase):
    """Pairs that the safety of everything else hangs on, stated apart from the table."""

    def test_a_host_is_given_up_before_it_is_gone(self) -> None:
        for status in (ResourceStatus.PENDING, ResourceStatus.ACTIVE):
            with self.assertRaises(IllegalMove):
                advance(RESOURCE_MOVES, status, ResourceEvent.GONE)

    def test_a_slot_is_vacated_only_after_its_lease_has_ended(self) -> None:
        for status in (LeaseStatus.PENDING, LeaseStatus.ACQUIRED, LeaseStatus.ACTIVE):
            with self.assertRaises(IllegalMove):
                advance(LEASE_MOVES, status, LeaseEvent.VACATE)

    def test_a_lease_that_was_used_never_goes_back_to_the_pool(self) -> None:
        with self.assertRaises(IllegalMove):
            advance(LEASE_MOVES, LeaseStatus.ACTIVE, LeaseEvent.RETURN)

    def test_only_a_waiting_lease_is_given_a_slot(self) -> None:
        for status in set(LeaseStatus) - {LeaseStatus.PENDING}:
            with self.assertRaises(IllegalMove):
                advance(LEASE_MOVES, status, LeaseEvent.ACQUIRE)

    def test_an_ended_resource_never_becomes_active(self) -> None:
        for status in (ResourceStatus.RELEASED, ResourceStatus.BROKEN):
            self.assertIs(advance(RESOURCE_MOVES, status, ResourceEvent.READY), status)

    def test_an_ended_lease_never_becomes_active(self) -> None:
        for status in (LeaseStatus.RELEASED, LeaseStatus.BROKEN, LeaseStatus.DESTROYED):
            self.assertIs(advance(LEASE_MOVES, status, LeaseEvent.ACTIVATE), status)

    def test_every_living_lease_can_be_released_and_can_break(self) -> None:
        for status in (LeaseStatus.PENDING, LeaseStatus.ACQUIRED, LeaseStatus.ACTIVE):
            released = advance(LEASE_MOVES, status, LeaseEvent.RELEASE)
            self.assertIs(released, LeaseStatus.RELEASED)
            self.assertIs(advance(LEASE_MOVES, status, LeaseEvent.BREAK), LeaseStatus.BROKEN)

    def test_a_second_ending_changes_nothing(self) -> None:
        for status in (LeaseStatus.RELEASED, LeaseStatus.BROKEN):
            for event in (LeaseEvent.RELEASE, LeaseEvent.BREAK, LeaseEvent.RETURN):
                self.assertIs(advance(LEASE_MOVES, status, event), status)
        broken = ResourceStatus.BROKEN
        for event in (ResourceEvent.RELEASE, ResourceEvent.BREAK):
            self.assertIs(advance(RESOURCE_MOVES, broken, event), broken)

    def test_a_resource_may_break_while_it_is_released(self) -> None:
        released = ResourceStatus.RELEASED
        broken = advance(RESOURCE_MOVES, released, ResourceEvent.BREAK)
        self.assertIs(broken, ResourceStatus.BROKEN)


class TestAdvance(SynchronousTestCase):
    def test_late_news_keeps_the_status(self) -> None:
        for moves, statuses, events in TABLES:
            for status in statuses:
                for event in events:
                    if moves[status][event] is LATE:
                        self.assertIs(advance(moves, status, event), status)

    def test_a_forbidden_move_names_the_event_and_the_status(self) -> None:
        for moves, statuses, events in TABLES:
            for status in statuses:
                for event in events:
                    if moves[status][event] is NEVER:
                        error = self.assertRaises(IllegalMove, advance, moves, status, event)
                        self.assertEqual(str(error), f"{event.name} while {status.name}")

    def test_an_allowed_move_leads_on(self) -> None:
        ready = advance(RESOURCE_MOVES, ResourceStatus.PENDING, ResourceEvent.READY)
        self.assertIs(ready, ResourceStatus.ACTIVE)
