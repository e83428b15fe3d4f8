"""The keeper of a listed machine: what it does, in which order, and what it shows meanwhile."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred

from buildbot_drydock import events
from buildbot_drydock.errors import CommandTimedOut, HostError, HostUnreachable
from buildbot_drydock.latent.premises import Marker
from buildbot_drydock.model import Health
from tests.unit.kept import NOON, OTHER, OURS, TOKEN, Kept


class TestTakingIntoUse(Kept):
    def test_a_machine_is_unavailable_until_it_was_looked_at(self) -> None:
        self.machine.hold = Deferred()
        self.keeper.begin()
        self.assertIn("not been looked at", self.keeper.unavailable)
        self.machine.let_go()
        self.assertEqual(self.keeper.unavailable, "")
        self.assertEqual(self.listed(), {})
        self.assertEqual(self.events, [])

    def test_a_wished_resource_is_starting_and_then_ready(self) -> None:
        self.keeper.begin()
        self.machine.hold = Deferred()
        self.keeper.use(TOKEN)
        self.assertEqual(self.listed(), {TOKEN: Health.STARTING})
        before = self.changes
        self.machine.let_go()
        self.assertEqual(self.listed(), {TOKEN: Health.READY})
        self.assertGreater(self.changes, before)
        marker = self.machine.marker()
        assert marker is not None
        self.assertEqual((marker.installation, marker.token), (OURS, TOKEN))
        self.assertEqual((marker.boot, marker.ready), ("boot-1", True))

    def test_what_workers_need_is_told(self) -> None:
        self.taken()
        (observed,) = self.keeper.listing()
        self.assertEqual(observed.address, "10.0.0.5")
        self.assertEqual(observed.created_at, NOON)
        self.assertEqual(observed.data, {"python": self.python})

    def test_with_a_tunnel_the_worker_is_told_to_use_it(self) -> None:
        self.keeper = self.new_keeper(replace(self.rules, tunnels=True))
        self.taken()
        (observed,) = self.keeper.listing()
        self.assertEqual(observed.data["master_address"], "localhost")
        self.assertEqual(observed.data["master_port"], "40000")
        self.machine.cut()
        self.pass_time(5)
        self.assertEqual(self.machine.done.count("tunnel 0"), 1)
        self.assertIn("tunnel 40000", self.machine.done)

    def test_asking_twice_changes_nothing(self) -> None:
        self.taken()
        marker = self.machine.marker()
        self.keeper.use(TOKEN)
        self.assertEqual(self.listed(), {TOKEN: Health.READY})
        self.assertEqual(self.machine.marker(), marker)

    def test_what_earlier_resources_left_is_ended_and_nothing_else(self) -> None:
        self.taken(OTHER)
        self.start("left", OTHER)
        foreign = self.new_keeper(replace(self.rules, installation="theirs"))
        foreign._link = self.keeper._link
        self.start("foreign", "drydock-9@build1", foreign)
        self.machine.files.clear()  # somebody removed the marker by hand
        self.keeper = self.new_keeper()
        self.keeper.begin()
        self.keeper.use(TOKEN)
        self.assertEqual(self.listed(), {TOKEN: Health.READY})
        self.assertEqual(self.machine.tags(), {"foreign"})

    def test_what_runs_of_the_resource_itself_is_spared(self) -> None:
        self.taken()
        self.start("running")
        restarted = self.new_keeper()
        restarted.begin()
        restarted.use(TOKEN)
        self.assertEqual(self.listed(restarted), {TOKEN: Health.READY})
        self.assertEqual(self.machine.tags(), {"running"})

    def test_a_marker_that_is_not_yet_ready_is_finished(self) -> None:
        self.taken(OTHER)
        self.start("left", OTHER)
        half = Marker(installation=OURS, token=TOKEN, since=NOON, boot="boot-1")
        self.machine.files["drydock/owner.json"] = half.content()
        restarted = self.new_keeper()
        restarted.begin()
        self.assertEqual(self.listed(restarted), {TOKEN: Health.STARTING})
        restarted.use(TOKEN)
        self.assertEqual(self.listed(restarted), {TOKEN: Health.READY})
        self.assertEqual(self.machine.tags(), set())

    def test_another_resource_of_ours_is_listed_and_waited_for(self) -> None:
        self.taken(OTHER)
        self.start("its", OTHER)
        restarted = self.new_keeper()
        restarted.begin()
        restarted.use(TOKEN)
        self.assertEqual(self.listed(restarted), {TOKEN: Health.STARTING, OTHER: Health.READY})
        self.assertEqual(self.machine.tags(), {"its"})
        restarted.leave(OTHER)  # as the sweep does, if no row accounts for it
        self.assertEqual(self.listed(restarted), {TOKEN: Health.READY})
        self.assertEqual(self.machine.tags(), set())

    def test_what_runs_of_the_resource_is_spared_when_two_masters_take_it_at_once(self) -> None:
        self.taken()
        self.start("started by the faster one")
        half = Marker(installation=OURS, token=TOKEN, since=NOON, boot="boot-1")
        self.machine.files["drydock/owner.json"] = half.content()
        slower = self.new_keeper()
        slower.begin()
        slower.use(TOKEN)
        self.assertEqual(self.listed(slower), {TOKEN: Health.READY})
        self.assertEqual(self.machine.tags(), {"started by the faster one"})

    def test_a_marker_that_is_not_yet_ready_tells_workers_nothing(self) -> None:
        half = Marker(installation=OURS, token=TOKEN, since=NOON, python="/x", port=1)
        self.machine.files["drydock/owner.json"] = half.content()
        self.keeper.begin()
        (observed,) = self.keeper.listing()
        self.assertEqual((observed.health, observed.data), (Health.STARTING, {}))

    def test_a_marker_of_a_machine_that_tells_no_boots_is_believed(self) -> None:
        marker = Marker(installation=OURS, token=TOKEN, since=NOON, ready=True, python="/x")
        self.machine.files["drydock/owner.json"] = marker.content()
        self.keeper.begin()
        self.assertEqual(self.listed(), {TOKEN: Health.READY})
        self.machine.boot = ""
        self.pass_time(80)
        self.assertEqual(self.listed(), {TOKEN: Health.READY})

    def test_another_master_may_be_faster(self) -> None:
        self.keeper.begin()
        self.machine.held, self.machine.hold = "claim", Deferred()
        self.keeper.use(TOKEN)
        theirs = Marker(installation=OURS, token=OTHER, since=NOON, boot="boot-1", ready=True)
        self.machine.files["drydock/owner.json"] = theirs.content()
        self.machine.let_go()
        self.assertEqual(self.listed(), {TOKEN: Health.STARTING, OTHER: Health.READY})
        self.assertEqual(self.machine.marker(), theirs)

    def test_waiting_for_another_resource_to_go_has_its_limit_too(self) -> None:
        self.taken(OTHER)
        waiting = self.keeper = self.new_keeper(replace(self.rules, probe_interval=9e9))
        waiting.begin()
        waiting.use(TOKEN)
        self.assertIn(OTHER, self.reason())
        before = self.changes
        for keeper in self.keepers[:-1]:
            self.successResultOf(Deferred.fromCoroutine(keeper.close()))
        self.pass_time(901, 10)
        self.assertEqual(self.listed(), {TOKEN: Health.FAILING, OTHER: Health.READY})
        self.assertGreater(self.changes, before)

    def test_a_set_up_that_takes_too_long_is_failing(self) -> None:
        self.keeper.begin()
        self.machine.hold = Deferred()
        self.keeper.use(TOKEN)
        self.pass_time(901, 10)
        self.assertEqual(self.listed(), {TOKEN: Health.FAILING})
        self.assertIn("host build1", self.reason())


class TestCleaningUp(Kept):
    def test_a_resource_that_leaves_leaves_nothing(self) -> None:
        self.taken()
        self.start("worker")
        self.machine.files["drydock/worker-0/buildbot.tac"] = b""
        self.keeper.leave(TOKEN)
        self.assertEqual(self.listed(), {})
        self.assertEqual(self.machine.tags(), set())
        self.assertEqual(set(self.machine.files), {"drydock/worker-0/buildbot.tac"})
        self.assertTrue(self.keeper.is_free)

    def test_build_directories_are_wiped_if_so_asked(self) -> None:
        self.keeper = self.new_keeper(replace(self.rules, keep_build_directories=False))
        self.taken()
        for path in ("worker-0/buildbot.tac", "worker-0/a/b", "mine-3/buildbot.tac", "venv/x"):
            self.machine.files[f"drydock/{path}"] = b""
        self.keeper.leave(TOKEN)
        self.assertEqual(set(self.machine.files), {"drydock/venv/x"})

    def test_it_is_listed_until_the_machine_answers_and_is_clean(self) -> None:
        self.taken()
        self.start("worker")
        self.machine.go_silent()
        self.keeper.leave(TOKEN)
        self.pass_time(3600, 5)
        self.assertEqual(self.listed(), {TOKEN: Health.FAILING})
        self.assertFalse(self.keeper.is_free)
        self.machine.come_back()
        self.pass_time(20)
        self.assertEqual(self.listed(), {})
        self.assertEqual(self.machine.tags(), set())

    def test_processes_that_cannot_be_ended_keep_it_listed_and_the_host_unavailable(self) -> None:
        self.taken()
        self.start("worker")
        self.machine.unkillable = True
        self.keeper.leave(TOKEN)
        self.assertEqual(self.listed(), {TOKEN: Health.FAILING})
        self.assertIn("cleaning up", self.keeper.unavailable)
        self.assertLess(len(self.machine.done), 30)
        self.machine.unkillable = False
        self.pass_time(400, 5)
        self.assertEqual(self.listed(), {})
        self.pass_time(60)
        self.assertEqual(self.keeper.unavailable, "")

    def test_a_full_disk_does_not_keep_it_from_being_cleaned_up(self) -> None:
        self.taken()
        self.machine.free_bytes = 0
        self.keeper.leave(TOKEN)
        self.assertEqual(self.listed(), {})
        self.assertIsNone(self.machine.marker())
        self.assertIn("0 MB are free", self.keeper.unavailable)

    def test_a_set_up_under_way_is_given_up(self) -> None:
        self.keeper.begin()
        self.keeper.use(TOKEN)
        self.keeper.leave(TOKEN)
        self.keeper = self.new_keeper()
        self.keeper.begin()
        self.machine.hold = Deferred()
        self.keeper.use(TOKEN)
        self.keeper.leave(TOKEN)
        self.machine.let_go()
        self.pass_time(10)
        self.assertEqual(self.listed(), {})
        self.assertIsNone(self.machine.marker())

    def test_a_set_up_that_hangs_does_not_hold_it_up(self) -> None:
        self.keeper.begin()
        self.machine.held, self.machine.hold = "claim", Deferred()
        self.keeper.use(TOKEN)
        self.assertEqual(self.listed(), {TOKEN: Health.STARTING})
        self.keeper.leave(TOKEN)
        self.assertEqual(self.listed(), {})
        self.machine.let_go()

    def test_one_that_leaves_does_not_come_back(self) -> None:
        self.taken()
        self.machine.go_silent()
        self.keeper.leave(TOKEN)
        self.keeper.use(TOKEN)
        self.machine.come_back()
        self.pass_time(20)
        self.assertEqual(self.listed(), {})

    def test_what_never_was_is_gone_at_once_and_others_are_spared(self) -> None:
        self.taken()
        self.start("worker")
        self.keeper.leave(OTHER)
        self.assertEqual(self.listed(), {TOKEN: Health.READY})
        self.assertEqual(self.machine.tags(), {"worker"})
        marker = self.machine.marker()
        assert marker is not None
        self.assertEqual(marker.token, TOKEN)


class TestLosingTheMachine(Kept):
    def test_a_lost_connection_is_noticed_and_leases_go_on(self) -> None:
        self.taken()
        self.machine.go_silent()
        self.assertIn("no sign of life", self.keeper.unavailable)
        self.assertEqual(self.listed(), {TOKEN: Health.READY})
        self.pass_time(55)
        self.assertEqual(self.listed(), {TOKEN: Health.READY})
        self.assertEqual(len(self.told(events.HostLost)), 1)

    def test_one_that_stays_silent_is_lost(self) -> None:
        self.taken()
        self.machine.go_silent()
        before = self.changes
        self.pass_time(61)
        self.assertEqual(self.listed(), {TOKEN: Health.FAILING})
        self.assertIn("host build1", self.reason())
        self.assertGreater(self.changes, before)

    def test_one_that_comes_back_soon_goes_on_and_is_used_again_after_a_proof(self) -> None:
        self.taken()
        self.start("worker")
        self.machine.cut()
        self.pass_time(3)
        self.assertEqual(self.listed(), {TOKEN: Health.READY})
        self.assertIn("answers again", self.keeper.unavailable)
        self.assertEqual(self.told(events.HostReturned), [])
        self.pass_time(11)
        self.assertEqual(self.keeper.unavailable, "")
        self.assertEqual(self.machine.tags(), {"worker"})
        self.assertEqual(len(self.told(events.HostLost)), 1)
        self.assertEqual(len(self.told(events.HostReturned)), 1)

    def test_one_that_was_restarted_is_failing(self) -> None:
        self.taken()
        self.machine.restart()
        self.pass_time(3)
        self.assertEqual(self.listed(), {TOKEN: Health.FAILING})
        self.assertIn("it was restarted", self.reason())
        self.keeper.leave(TOKEN)
        self.keeper.use(OTHER)
        self.assertEqual(self.listed(), {OTHER: Health.READY})

    def test_one_whose_marker_is_gone_is_failing(self) -> None:
        self.taken()
        self.machine.files.clear()
        self.pass_time(80)
        self.assertEqual(self.listed(), {TOKEN: Health.FAILING})
        self.assertIn("reinstalled", self.reason())

    def test_one_that_a_restarted_master_finds_restarted_is_failing(self) -> None:
        self.taken()
        self.machine.restart()
        restarted = self.keeper = self.new_keeper()
        restarted.begin()
        self.assertEqual(self.listed(), {TOKEN: Health.FAILING})
        marker = self.machine.marker()
        restarted.use(TOKEN)
        self.assertEqual(self.listed(), {TOKEN: Health.FAILING})
        self.assertIn("it was restarted", self.reason())
        self.assertEqual(self.machine.marker(), marker)

    def test_one_that_its_provider_has_started_again_is_taken_into_use_again(self) -> None:
        first = self.keeper = self.new_keeper()
        first.begin()
        first.use(TOKEN, "start-1")
        self.assertEqual(self.listed(first), {TOKEN: Health.READY})
        before = self.machine.marker()
        assert before is not None
        for start, health in (
            ("start-1", Health.FAILING),
            ("", Health.FAILING),
            ("start-2", Health.READY),
        ):
            self.machine.restart()
            again = self.new_keeper()
            again.begin()
            again.use(TOKEN, start)
            self.assertEqual(self.listed(again), {TOKEN: health}, start)
        marker = self.machine.marker()
        assert marker is not None
        self.assertEqual((before.start, marker.start), ("start-1", "start-2"))
        self.assertNotEqual(marker.boot, before.boot)

    def test_while_a_restarted_master_cannot_see_it_nothing_is_judged_for_a_while(self) -> None:
        self.machine.go_silent()
        self.keeper.begin()
        self.keeper.use(TOKEN)
        self.pass_time(55)
        self.assertEqual(self.listed(), {TOKEN: Health.STARTING})
        self.pass_time(10)
        self.assertEqual(self.listed(), {TOKEN: Health.FAILING})

    def test_a_machine_that_hangs_in_the_middle_of_a_look_is_suspect(self) -> None:
        self.taken()
        self.machine.error = CommandTimedOut("it wrote nothing")
        self.pass_time(80)
        self.assertEqual(self.listed(), {TOKEN: Health.READY})
        self.assertIn("it wrote nothing", self.keeper.unavailable)
        self.assertEqual(len(self.told(events.HostLost)), 1)
        self.pass_time(60)
        self.assertEqual(self.listed(), {TOKEN: Health.FAILING})
        self.machine.error = None
        self.pass_time(30)
        self.assertGreater(self.machine.opened, 1)
        self.assertEqual(self.keeper.unavailable, "")

    def test_a_connection_lost_in_the_middle_of_a_look_is_told_as_that(self) -> None:
        self.taken()
        self.machine.held, self.machine.hold = "look", Deferred()
        self.pass_time(80)
        self.machine.cut(HostUnreachable("no sign of life for 20 s", phase="connected"))
        self.machine.let_go()
        (lost,) = self.told(events.HostLost)
        self.assertIn("no sign of life for 20 s", lost)

    def test_one_that_answers_and_takes_long_to_be_made_fit_is_not_lost(self) -> None:
        self.taken()
        self.machine.held, self.machine.hold = "python3", Deferred()
        self.machine.cut()
        self.pass_time(300, 5)
        self.assertEqual(self.listed(), {TOKEN: Health.READY})
        self.assertNotEqual(self.keeper.unavailable, "")
        self.machine.let_go()

    def test_how_long_it_was_lost_is_told(self) -> None:
        self.taken()
        self.machine.go_silent()
        self.pass_time(40)
        self.machine.come_back()
        self.pass_time(40)
        (returned,) = [each for each in self.events if isinstance(each, events.HostReturned)]
        self.assertTrue(50 <= returned.seconds <= 70, returned)

    def test_what_only_its_marker_tells_of_is_lost_with_it(self) -> None:
        self.taken(OTHER)
        restarted = self.keeper = self.new_keeper()
        restarted.begin()
        self.machine.go_silent()
        self.pass_time(61)
        self.assertEqual(self.listed(), {OTHER: Health.FAILING})

    def test_wishes_do_not_make_a_silent_machine_be_tried_more_often(self) -> None:
        self.taken()
        self.machine.go_silent()
        before = self.machine.done.count("connect")
        for number in range(9):
            self.keeper.use(f"drydock-{number}@build1")
            self.keeper.leave(f"drydock-{number}@build1")
        self.assertEqual(self.machine.done.count("connect"), before)


class TestWhatNeedsAPerson(Kept):
    def refused(self, phase: str, text: str) -> None:
        reason, _, remedy = text.partition("; ")
        self.machine.connect_error = HostUnreachable(
            text, phase=phase, reason=reason, remedy=remedy, lasting=True
        )

    def test_a_changed_host_key_breaks_it_at_once_and_mending_it_brings_it_back(self) -> None:
        self.taken()
        self.refused("verifying its host key", "it has the host key SHA256:x; mend known_hosts")
        self.machine.cut()
        self.pass_time(3)
        self.assertEqual(self.listed(), {TOKEN: Health.FAILING})
        self.keeper.leave(TOKEN)
        self.pass_time(3600, 5)
        self.assertLess(self.machine.done.count("connect"), 30)
        lost = self.told(events.HostLost)
        self.assertEqual(len(lost), 2)  # that it is silent, then that somebody has to do something
        self.assertIn("verifying its host key", lost[1])
        self.assertIn("mend known_hosts", lost[1])
        self.machine.come_back()
        self.pass_time(301 + 11)
        self.assertEqual((self.keeper.unavailable, self.listed()), ("", {}))
        self.assertEqual(len(self.told(events.HostReturned)), 1)

    def test_a_refused_login_is_never_tried_often(self) -> None:
        self.refused("logging in", "the user ci was refused with key; add it")
        self.keeper.begin()
        self.pass_time(3600, 5)
        self.assertLess(self.machine.done.count("connect"), 30)
        (lost,) = self.told(events.HostLost)
        self.assertIn("logging in", lost)
        self.assertIn("add it", lost)

    def test_a_machine_of_another_installation_is_never_touched(self) -> None:
        theirs = Marker(installation="theirs", token="drydock-9@x", since=1.0, ready=True)
        self.machine.files["drydock/owner.json"] = theirs.content()
        self.keeper.begin()
        self.assertEqual(self.listed(), {})
        self.assertTrue(self.keeper.is_free)
        self.keeper.use(TOKEN)
        self.keeper.leave(TOKEN)
        self.pass_time(3600, 5)
        self.assertEqual(self.machine.marker(), theirs)
        self.assertEqual(set(self.machine.done), {"connect", "look"})
        (lost,) = self.told(events.HostLost)
        self.assertIn("another Drydock uses this machine, as drydock-9@x", lost)
        self.assertIn("remove /home/ci/drydock/owner.json", lost)
        self.assertIn("another Drydock", self.keeper.unavailable)

    def test_what_is_no_marker_is_left_alone(self) -> None:
        self.machine.files["drydock/owner.json"] = b"[]"
        self.keeper.begin()
        self.assertIn("what no Drydock wrote", self.keeper.unavailable)
        self.assertEqual(self.machine.files["drydock/owner.json"], b"[]")

    def test_a_host_without_python_fails_once_and_not_lease_after_lease(self) -> None:
        self.python = HostError("looking for Python: there is no program 'python3'. Install it")
        self.keeper.begin()
        self.assertIn("Install it", self.keeper.unavailable)
        self.keeper.use(TOKEN)
        self.assertEqual(self.listed(), {TOKEN: Health.FAILING})
        self.assertIn("host build1", self.reason())
        self.keeper.leave(TOKEN)
        self.pass_time(3600, 5)
        self.assertIn("Install it", self.keeper.unavailable)
        self.assertEqual(len(self.told(events.HostLost)), 1)
        self.assertLess(self.machine.done.count("python3 -"), 30)
        self.python = "/usr/bin/python3"
        self.pass_time(301)
        self.assertEqual(self.keeper.unavailable, "")

    def test_making_an_environment_that_takes_too_long_is_no_silence(self) -> None:
        self.python = CommandTimedOut("pip wrote nothing for 120 s")
        self.keeper.begin()
        self.pass_time(1200, 5)
        self.assertIn("pip wrote nothing", self.keeper.unavailable)
        self.assertEqual(self.machine.opened, 1)

    def test_a_full_disk_takes_it_out_of_service_and_spares_what_runs(self) -> None:
        self.taken()
        self.machine.free_bytes = 0
        self.pass_time(80)
        self.assertEqual(self.listed(), {TOKEN: Health.READY})
        self.assertIn("make room", self.keeper.unavailable)
        self.machine.free_bytes = 10**12
        self.pass_time(400, 5)
        self.assertEqual(self.keeper.unavailable, "")

    def test_a_wrong_clock_is_told_once_and_it_is_used_all_the_same(self) -> None:
        self.machine.clock_ahead = -900.0
        self.taken()
        self.pass_time(600, 5)
        (told,) = self.told(events.HostWarned)
        self.assertIn("900 s behind", told)

    def test_a_bug_of_ours_stops_this_machine_alone(self) -> None:
        self.machine.error = ZeroDivisionError()  # type: ignore[assignment]
        self.keeper.begin()
        self.assertIn("ZeroDivisionError", self.keeper.unavailable)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class TestOutOfService(Kept):
    def test_it_is_not_even_connected_to(self) -> None:
        self.keeper.put_in_service(False)
        self.keeper.begin()
        self.pass_time(600, 5)
        self.assertEqual(self.machine.done, [])

    def test_what_is_wished_still_comes_to_its_end(self) -> None:
        self.taken()
        self.keeper.put_in_service(False)
        self.pass_time(600, 5)
        self.assertEqual(self.listed(), {TOKEN: Health.READY})
        self.keeper.leave(TOKEN)
        self.assertEqual(self.listed(), {})
        self.assertIsNone(self.machine.marker())
        self.assertFalse(self.machine.links[0].is_open)

    def test_nothing_is_installed_there_any_more(self) -> None:
        self.taken()
        self.keeper.put_in_service(False)
        before = self.machine.done.count("python3 -")
        self.machine.cut()
        self.pass_time(600, 5)
        self.assertEqual(self.machine.done.count("python3 -"), before)
        self.assertEqual(self.listed(), {TOKEN: Health.READY})

    def test_back_in_service_it_is_looked_at_again(self) -> None:
        self.keeper.put_in_service(False)
        self.keeper.begin()
        self.keeper.put_in_service(True)
        self.assertEqual(self.keeper.unavailable, "")


class TestCost(Kept):
    def test_an_idle_machine_is_looked_at_once_in_an_interval(self) -> None:
        self.taken()
        before, changes = len(self.machine.done), self.changes
        self.pass_time(3600, 5)
        looks = self.machine.done[before:]
        self.assertTrue(50 <= looks.count("look") <= 70, len(looks))
        self.assertEqual(set(looks), {"look"})
        self.assertEqual(self.changes, changes)
        self.assertLessEqual(len(self.clock.getDelayedCalls()), 1)
