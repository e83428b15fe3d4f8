"""How a listed host fares: what holds whatever happens, and the cases worth a name."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.latent import health
from buildbot_drydock.latent.health import (
    UNSEEN,
    Condition,
    Gravity,
    Standing,
    Trouble,
    answered,
    failed,
    heard,
    next_change,
    standing,
    unavailable,
    wait,
)

LOST_AFTER = 60.0
SILENT = Trouble(phase="connecting", reason="it does not answer", remedy="switch it on")
UNFIT = Trouble(phase="looking at it", reason="its disk is full", gravity=Gravity.UNFIT)
GRAVE = Trouble(phase="logging in", reason="refused", gravity=Gravity.GRAVE)


@dataclass(frozen=True)
class Happening:
    after: float
    trouble: Trouble | None  # None is an answer


happenings = st.lists(
    st.builds(
        Happening,
        after=st.floats(min_value=0, max_value=4000),
        trouble=st.sampled_from([None, None, SILENT, UNFIT, GRAVE]),
    ),
    max_size=30,
)


def lived(happened: list[Happening], now: float = 1_000.0) -> tuple[Condition, float]:
    condition = UNSEEN
    for each in happened:
        now += each.after
        if each.trouble is None:
            condition = answered(condition, now)
        else:
            condition = failed(condition, each.trouble, now)
    return condition, now


def standing_at(condition: Condition, now: float) -> Standing:
    return standing(condition, now, lost_after=LOST_AFTER)


class TestWhateverHappens(SynchronousTestCase):
    @given(happenings)
    def test_it_is_available_only_if_it_answered_last(self, happened: list[Happening]) -> None:
        condition, now = lived(happened)
        answered_last = bool(happened) and happened[-1].trouble is None
        is_well = standing_at(condition, now) is Standing.WELL
        self.assertEqual(is_well, not unavailable(condition, now, lost_after=LOST_AFTER))
        if is_well:
            self.assertTrue(answered_last)
        if answered_last:
            self.assertIn(standing_at(condition, now), (Standing.WELL, Standing.RETURNING))

    @given(happenings)
    def test_one_that_goes_on_answering_is_well_in_five_minutes(
        self, happened: list[Happening]
    ) -> None:
        condition, now = lived(happened)
        condition = answered(condition, now)
        self.assertIs(standing_at(condition, now + 300), Standing.WELL)
        for _ in range(10):  # more answers don't put it off
            now += 30
            condition = answered(condition, now)
        self.assertIs(standing_at(condition, now), Standing.WELL)

    @given(happenings, st.floats(min_value=0, max_value=1))
    def test_waits_are_bounded(self, happened: list[Happening], uniform: float) -> None:
        condition, _ = lived(happened)
        seconds = wait(condition, lambda: uniform)
        self.assertGreaterEqual(seconds, 1.5)
        silent = condition.trouble is not None and condition.trouble.gravity is Gravity.SILENT
        self.assertLessEqual(seconds, 15 if silent else 300)

    @given(happenings, st.floats(min_value=0, max_value=4000))
    def test_it_changes_by_itself_only_when_it_says_so(
        self, happened: list[Happening], later: float
    ) -> None:
        condition, now = lived(happened)
        at = next_change(condition, now, lost_after=LOST_AFTER)
        if at is None or now + later < at:
            self.assertIs(standing_at(condition, now + later), standing_at(condition, now))
        else:
            self.assertGreater(at, now)
            self.assertIsNot(standing_at(condition, at), standing_at(condition, now))
            self.assertIsNone(next_change(condition, at, lost_after=LOST_AFTER))

    @given(happenings)
    def test_it_is_never_lost_for_being_unfit(self, happened: list[Happening]) -> None:
        condition, now = lived([*happened, Happening(1, UNFIT)])
        self.assertIs(standing_at(condition, now + 10_000), Standing.UNFIT)

    @given(happenings)
    def test_what_is_remembered_does_not_grow_for_ever(self, happened: list[Happening]) -> None:
        condition, now = lived(happened * 3)
        self.assertTrue(all(at > now - 3600 - 4000 for at in condition.losses))
        self.assertEqual(answered(condition, now + 3601).losses, ())


class TestCases(SynchronousTestCase):
    def test_one_never_looked_at_is_not_available(self) -> None:
        self.assertIs(standing_at(UNSEEN, 1.0), Standing.UNSEEN)
        self.assertIn("not been looked at", unavailable(UNSEEN, 1.0, lost_after=LOST_AFTER))

    def test_the_first_answer_makes_it_well(self) -> None:
        self.assertIs(standing_at(answered(UNSEEN, 1.0), 1.0), Standing.WELL)

    def test_silence_is_suspect_and_then_broken(self) -> None:
        condition = failed(answered(UNSEEN, 0.0), SILENT, 100.0)
        self.assertIs(standing_at(condition, 159.9), Standing.SUSPECT)
        self.assertIs(standing_at(condition, 160.0), Standing.BROKEN)

    def test_failing_again_does_not_put_off_the_end_of_patience(self) -> None:
        condition = failed(failed(answered(UNSEEN, 0.0), SILENT, 100.0), SILENT, 150.0)
        self.assertIs(standing_at(condition, 160.0), Standing.BROKEN)

    def test_what_needs_a_person_breaks_at_once(self) -> None:
        self.assertIs(standing_at(failed(UNSEEN, GRAVE, 1.0), 1.0), Standing.BROKEN)

    def test_one_that_was_never_well_is_used_as_soon_as_it_answers(self) -> None:
        condition = answered(failed(UNSEEN, GRAVE, 1.0), 2.0)
        self.assertIs(standing_at(condition, 2.0), Standing.WELL)

    def test_each_loss_of_the_last_hour_doubles_the_proof(self) -> None:
        condition, now, proofs = answered(UNSEEN, 0.0), 0.0, []
        for _ in range(7):
            now += 400
            condition = failed(condition, SILENT, now)
            condition = answered(condition, now + 1)
            proofs.append(condition.proof_seconds)
        self.assertEqual(proofs, [10, 20, 40, 80, 160, 300, 300])
        later = answered(failed(condition, SILENT, now + 4000), now + 4001)
        self.assertEqual(later.proof_seconds, 10)

    def test_waits_grow_and_are_shorter_for_silence(self) -> None:
        for trouble, expected in (
            (SILENT, [2, 4, 8, 15, 15]),
            (GRAVE, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]),
        ):
            condition, waits = UNSEEN, []
            for _ in expected:
                condition = failed(condition, trouble, 1.0)
                waits.append(wait(condition, lambda: 1.0))
            self.assertEqual(waits, expected)
        self.assertEqual(wait(failed(UNSEEN, SILENT, 1.0), lambda: 0.0), 1.5)

    def test_a_thousand_failures_are_no_number_too_large(self) -> None:
        condition = UNSEEN
        for _ in range(1100):
            condition = failed(condition, GRAVE, 1.0)
        self.assertEqual(wait(condition, lambda: 1.0), 300)

    def test_why_it_is_not_available_names_phase_and_remedy(self) -> None:
        text = unavailable(failed(UNSEEN, SILENT, 1.0), 1.0, lost_after=LOST_AFTER)
        self.assertEqual(text, "failed while connecting: it does not answer (remedy: switch it on)")

    def test_one_that_is_heard_of_again_is_not_lost_while_it_is_made_fit(self) -> None:
        condition = heard(failed(answered(UNSEEN, 0.0), SILENT, 100.0))
        self.assertIs(standing_at(condition, 9_000.0), Standing.UNFIT)
        silent_again = failed(condition, SILENT, 9_000.0)
        self.assertIs(standing_at(silent_again, 9_059.0), Standing.SUSPECT)
        self.assertIs(standing_at(silent_again, 9_060.0), Standing.BROKEN)
        self.assertIs(standing_at(heard(failed(UNSEEN, GRAVE, 1.0)), 1.0), Standing.BROKEN)

    def test_gravity_is_ordered(self) -> None:
        self.assertTrue(health.is_graver(GRAVE, SILENT))
        self.assertTrue(health.is_graver(SILENT, UNFIT))
        self.assertFalse(health.is_graver(SILENT, SILENT))
        self.assertFalse(health.is_graver(UNFIT, GRAVE))
