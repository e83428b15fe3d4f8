"""No lease is lost, whatever happens when."""

from __future__ import annotations

import io
import signal
from collections.abc import Callable

import httpx
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.cli.interruption import Interrupted, Interruptions
from buildbot_drydock.cli.output import Output
from tests.unit.pretended_master import START, Call, PretendedMaster

LEASE = ("lease", "--count", "2")


class Moments:
    """Has something happen at a certain moment: before or after a request, or at a pause."""

    def __init__(self, call: Call, when: int, what: object) -> None:
        self.left = when
        self.what = what
        call.master.before = call.master.after = self.moment
        call.paused = self.moment

    def moment(self, request: object = None) -> None:
        self.left -= 1
        if self.left == 0:
            self.what()  # type: ignore[operator]


class SignalTests(SynchronousTestCase):
    @given(st.integers(1, 60), st.sampled_from([signal.SIGINT, signal.SIGTERM, signal.SIGHUP]))
    def test_a_signal_at_any_moment_leaves_no_lease(self, when: int, number: int) -> None:
        call = Call(PretendedMaster())
        Moments(call, when, lambda: call.invocation.interruptions.arrive(number))
        self.assertEqual(call.run(*LEASE), 128 + number, call.errors.getvalue())
        self.assertEqual(call.master.living, [])

    @given(st.integers(1, 12))
    def test_kept_leases_outlive_a_signal(self, when: int) -> None:
        call = Call(PretendedMaster())
        Moments(call, when, lambda: call.invocation.interruptions.arrive(signal.SIGINT))
        self.assertEqual(call.run(*LEASE, "--keep"), 130)
        self.assertEqual(len(call.master.living), len(call.master.leases))
        for number in call.master.living:
            self.assertIn(f"lease {number} is kept until", call.errors.getvalue())

    def test_a_failing_clean_up_does_not_swallow_a_signal(self) -> None:
        call = Call(PretendedMaster())

        def moment(request: httpx.Request) -> None:
            if call.master.leases:
                try:
                    call.invocation.interruptions.arrive(signal.SIGINT)
                except Interrupted:
                    call.master.before = lambda request: None
                    raise httpx.CloseError("while it was being closed") from None

        call.master.before = moment
        self.assertEqual(call.run("lease"), 130)
        self.assertEqual(call.master.living, [])

    def test_what_is_held_is_ended_after_it(self) -> None:
        interruptions = Interruptions()
        done = []
        with self.assertRaises(Interrupted), interruptions.held():
            interruptions.arrive(signal.SIGTERM)
            done.append("still there")
        self.assertEqual(done, ["still there"])

    def test_who_asks_twice_is_not_kept_waiting(self) -> None:
        interruptions = Interruptions()
        with self.assertRaises(Interrupted), interruptions.held():
            interruptions.arrive(signal.SIGINT)
            interruptions.arrive(signal.SIGINT)
            self.fail("the second one does not wait")


class GoneReader(io.StringIO):
    """What writes to a pipe that is closed after some lines."""

    def __init__(self, lines: int) -> None:
        super().__init__()
        self.left = lines

    def write(self, text: str) -> int:
        self.left -= 1
        if self.left < 0:
            raise BrokenPipeError
        return super().write(text)


class GoneReaderTests(SynchronousTestCase):
    def test_whoever_reads_may_go_at_any_line_and_no_lease_is_left(self) -> None:
        for options in ([], ["--json"]):
            ended = set()
            for lines in range(20):
                call = Call(PretendedMaster())
                call.paused = lambda call=call: self.end_in_time(call)
                output = Output(file=GoneReader(lines), errors=GoneReader(0))
                call.invocation.output = output
                ended.add(call.run(*LEASE, *options))
                self.assertEqual(call.master.living, [], lines)
            self.assertEqual(ended, {141, 130})  # and some calls wrote all

    def end_in_time(self, call: Call) -> None:
        if call.master.now > START + 10:
            call.invocation.interruptions.arrive(signal.SIGINT)


class LostReplyTests(SynchronousTestCase):
    def call_with(self, lost: int, when: str) -> Call:
        """Call, with a master whose *lost* th answer to a request of a lease is lost."""
        call = Call(PretendedMaster())
        count = 0

        def moment(request: httpx.Request) -> None:
            nonlocal count
            if request.method == "POST" and request.url.path.endswith("drydock_leases"):
                count += 1
                if count == lost:
                    raise httpx.ReadError("the network is cut", request=request)

        setattr(call.master, when, moment)
        return call

    def test_a_lease_whose_reply_was_lost_is_found_again(self) -> None:
        for lost in (1, 2):
            call = self.call_with(lost, "after")
            self.assertEqual(call.run(*LEASE, "--keep"), 0, call.errors.getvalue())
            self.assertEqual(call.master.living, [1, 2])

    def test_a_request_that_was_lost_is_made_again(self) -> None:
        call = self.call_with(1, "before")
        self.assertEqual(call.run(*LEASE, "--keep"), 0, call.errors.getvalue())
        self.assertEqual(call.master.living, [1, 2])

    def test_a_signal_before_it_is_found_again_leaves_no_lease(self) -> None:
        call = self.call_with(1, "after")
        call.paused = lambda: call.invocation.interruptions.arrive(signal.SIGINT)
        self.assertEqual(call.run(*LEASE), 130)
        self.assertEqual((call.master.living, len(call.master.leases)), ([], 1))

    def test_a_master_that_never_answers_again_is_given_up_when_the_leases_expire(self) -> None:
        call = Call(PretendedMaster())

        def gone(request: httpx.Request) -> None:
            if call.master.now > 1_800_000_020:
                raise httpx.ConnectError("nobody there", request=request)

        call.master.before = gone
        self.assertEqual(call.run("lease", "--lifetime", "1m"), 3)
        self.assertIn("the leases have expired meanwhile", call.errors.getvalue())
        self.assertIn("could not be released", call.errors.getvalue())
        self.assertLess(call.master.now, 1_800_000_000 + 200)


class EndingTests(SynchronousTestCase):
    def test_if_one_breaks_all_are_given_back_and_the_last_line_says_why(self) -> None:
        call = Call(PretendedMaster())
        call.master.becomes, call.master.reason = "broken", "it is\nbroken"
        self.assertEqual(call.run(*LEASE), 8)
        self.assertEqual(call.master.living, [])
        self.assertIn("has ended (broken): it is\nbroken", call.errors.getvalue())

    def test_leases_are_renewed_while_they_are_held(self) -> None:
        call = Call(PretendedMaster())
        end = call.master.now + 3_600

        def stop() -> None:
            if call.master.now > end:
                call.invocation.interruptions.arrive(signal.SIGINT)

        call.paused = stop
        self.assertEqual(call.run("lease", "--lifetime", "5m"), 130)
        renewals = call.master.requests.count("renew drydock_leases/1")
        self.assertGreaterEqual(renewals, 34)  # every 100 s
        self.assertLess(renewals, 40)

    def test_a_master_that_fails_or_starts_for_a_while_is_borne(self) -> None:
        for code, error in ((500, "ValueError()"), (404, "Drydock does not run on this master")):
            call = Call(PretendedMaster())
            answer = call.master.answer

            def broken(
                request: httpx.Request,
                call: Call = call,
                answer: Callable[[httpx.Request], httpx.Response] = answer,
                code: int = code,
                error: str = error,
            ) -> httpx.Response:
                if START + 10 < call.master.now < START + 200:
                    return httpx.Response(code, json={"error": error})
                return answer(request)

            call.invocation.transport = httpx.MockTransport(broken)

            def stop(call: Call = call) -> None:
                if call.master.now > START + 250:
                    call.invocation.interruptions.arrive(signal.SIGINT)

            call.paused = stop
            self.assertEqual(call.run("lease", "--lifetime", "5m"), 130)
            self.assertEqual(call.master.living, [])
            self.assertIn("the master answers again", call.errors.getvalue())
            self.assertIn("renew drydock_leases/1", call.master.requests)

    def test_waiting_is_told_once_for_the_same_reason(self) -> None:
        call = Call(PretendedMaster())
        call.master.becomes = "pending"
        self.assertEqual(call.run("lease", "--timeout", "30s"), 9)
        self.assertEqual(call.out.getvalue().count("linux is full"), 1)
        self.assertEqual(call.out.getvalue().count("lease-requested, it says."), 1)
