import os
import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.latent.schedule import Entry, Schedule, in_force, last_time, next_change

BERLIN = "Europe/Berlin"


def at(text: str, zone: str = BERLIN, *, fold: int = 0) -> float:
    """Return the instant at which clocks show a time, the second time if *fold*."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def entry(cron: str, **arguments: object) -> Entry:
    return Entry.model_validate({"cron": cron, "timezone": BERLIN, **arguments})


MORNING = entry("0 8 * * mon-fri", min_ready=5)
EVENING = entry("0 19 * * *", min_ready=0, limit=2)


class InForceTests(SynchronousTestCase):
    def test_without_entries_nothing_is_in_force_and_nothing_changes(self) -> None:
        self.assertIsNone(in_force([], at("2026-03-02 12:00")))
        self.assertIsNone(next_change([], at("2026-03-02 12:00")))

    def test_an_entry_is_in_force_from_its_very_time_until_that_of_another(self) -> None:
        monday = "2026-03-02"
        for entries in ([MORNING, EVENING], [EVENING, MORNING]):
            self.assertIs(in_force(entries, at(f"{monday} 07:59:59")), EVENING)
            self.assertIs(in_force(entries, at(f"{monday} 08:00:00")), MORNING)
            self.assertIs(in_force(entries, at(f"{monday} 18:59:59")), MORNING)
            self.assertIs(in_force(entries, at(f"{monday} 19:00:00")), EVENING)

    def test_a_weekend_is_one_long_evening(self) -> None:
        for time_of_day in ("07:00", "12:00", "23:00"):
            self.assertIs(in_force([MORNING, EVENING], at(f"2026-03-07 {time_of_day}")), EVENING)

    def test_of_two_that_come_at_one_time_the_last_in_the_list_is_in_force(self) -> None:
        other = entry("0 19 * * *", limit=7)
        self.assertIs(in_force([EVENING, other], at("2026-03-02 20:00")), other)
        self.assertIs(in_force([other, EVENING], at("2026-03-02 20:00")), EVENING)

    def test_one_entry_is_in_force_even_long_before_its_time_of_year(self) -> None:
        leap_day = entry("0 0 29 2 *", limit=3)
        self.assertIs(in_force([leap_day], at("2027-12-31 12:00")), leap_day)

    def test_the_next_change_is_the_next_time_of_any(self) -> None:
        self.assertEqual(
            next_change([MORNING, EVENING], at("2026-03-02 08:00")), at("2026-03-02 19:00")
        )
        self.assertEqual(
            next_change([MORNING, EVENING], at("2026-03-02 07:59:59")), at("2026-03-02 08:00")
        )
        self.assertEqual(
            next_change([MORNING, EVENING], at("2026-03-06 20:00")), at("2026-03-07 19:00")
        )

    def test_times_are_those_of_the_time_zone(self) -> None:
        tokyo = entry("0 8 * * *", limit=2, timezone="Asia/Tokyo")
        self.assertEqual(last_time(tokyo, at("2026-03-02 12:00")), at("2026-03-02 00:00"))

    def test_without_a_time_zone_times_are_those_of_the_machine(self) -> None:
        before = os.environ.get("TZ")
        try:
            for zone in ("America/New_York", "Asia/Kolkata"):
                os.environ["TZ"] = zone
                time.tzset()
                local = Entry(cron="0 8 * * *", limit=2)
                now = at("2026-07-02 12:00", zone)
                self.assertEqual(last_time(local, now), at("2026-07-02 08:00", zone))
                self.assertEqual(next_change([local], now), at("2026-07-03 08:00", zone))
        finally:
            if before is None:
                del os.environ["TZ"]
            else:
                os.environ["TZ"] = before
            time.tzset()


class ChangeOfClocksTests(SynchronousTestCase):
    """In Berlin clocks skip from 2 to 3 on 2026-03-29, and show 2 to 3 twice on 2026-10-25."""

    def test_the_day_after_a_change_has_its_usual_times(self) -> None:
        for day, before in (("2026-03-30", "2026-03-27"), ("2026-10-26", "2026-10-23")):
            self.assertEqual(last_time(MORNING, at(f"{day} 08:00")), at(f"{day} 08:00"))
            self.assertEqual(last_time(MORNING, at(f"{day} 07:59")), at(f"{before} 08:00"))

    def test_a_skipped_time_comes_when_it_has_been_skipped(self) -> None:
        skipped = entry("30 2 * * *", limit=2)
        moment = at("2026-03-29 03:00")
        self.assertEqual(last_time(skipped, moment), moment)
        self.assertEqual(last_time(skipped, moment - 1), at("2026-03-28 02:30"))
        self.assertEqual(next_change([skipped], moment - 1), moment)
        self.assertEqual(next_change([skipped], moment), at("2026-03-30 02:30"))

    def test_entries_keep_their_order_over_a_skipped_hour(self) -> None:
        first, second = entry("45 2 * * *", limit=1), entry("15 3 * * *", limit=2)
        self.assertIs(in_force([second, first], at("2026-03-29 03:10")), first)
        self.assertIs(in_force([second, first], at("2026-03-29 12:00")), second)

    def test_a_repeated_time_comes_the_first_time_only(self) -> None:
        repeated = entry("30 2 * * *", limit=2)
        once = at("2026-10-25 02:30")
        self.assertEqual(next_change([repeated], once - 1), once)
        self.assertEqual(next_change([repeated], once), at("2026-10-26 02:30"))
        self.assertEqual(last_time(repeated, once), once)
        for later in ("02:10", "02:30", "02:50"):
            now = at(f"2026-10-25 {later}", fold=1)
            self.assertEqual(last_time(repeated, now), once)
            self.assertEqual(next_change([repeated], now), at("2026-10-26 02:30"))

    @given(
        st.sampled_from(
            ["0 8 * * mon-fri", "30 2 * * *", "*/20 * * * *", "0 3 * * *", "0 0 1 * *"]
        ),
        st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "UTC"]),
        st.integers(int(at("2026-01-01", "UTC")), int(at("2027-01-01", "UTC"))),
    )
    def test_the_last_time_never_lies_ahead_and_the_next_one_always_does(
        self, cron: str, zone: str, now: int
    ) -> None:
        one = Entry(cron=cron, limit=1, timezone=zone)
        last, following = last_time(one, now), next_change([one], now)
        assert following is not None
        self.assertLessEqual(last, now)
        self.assertGreater(following, now)
        self.assertEqual(last_time(one, following), following, "what is next comes")
        self.assertEqual(last_time(one, following - 1), last, "nothing comes between")
        self.assertLess(following - last, timedelta(days=32).total_seconds())


class ScheduleTests(SynchronousTestCase):
    def test_schedules_that_say_the_same_are_equal(self) -> None:
        self.assertEqual(Schedule("@daily", limit=3), Schedule("@daily", limit=3))
        self.assertNotEqual(Schedule("@daily", limit=3), Schedule("@daily", limit=4))
        self.assertNotEqual(Schedule("@daily"), "@daily")

    def test_a_schedule_takes_whatever_it_is_given(self) -> None:
        self.assertEqual(repr(Schedule(3, limt="x")), "Schedule(cron=3, limt='x')")
