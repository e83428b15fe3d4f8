from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.cli import problems, remedies, times, views
from buildbot_drydock.cli.exits import Refused
from buildbot_drydock.cli.output import Output, plain, state, table, text
from buildbot_drydock.events import Event
from buildbot_drydock.model import Mode
from buildbot_drydock.reasons import Reason


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(*parts: Any, file: io.StringIO | None = None) -> str:
    file = file or io.StringIO()
    Output(file=file, errors=file).show(*parts)
    return file.getvalue()


class TextTests(SynchronousTestCase):
    @given(st.text())
    def test_nothing_steers_the_terminal_of_who_reads(self, value: str) -> None:
        shown = plain(value)
        self.assertTrue(all(each.isprintable() or each in "\n\t" for each in shown))
        shown.encode()

    def test_what_looks_like_markup_is_shown_as_it_is(self) -> None:
        for odd in ("[bold]x[/bold]", "[/x]", "100%s %d", ":smile:", "a<br />b & c"):
            self.assertEqual(written(text(odd)), odd + "\n")
            self.assertEqual(written(table(("X",), [(odd,)])), f"X\n{odd}\n")

    def test_what_is_no_terminal_gets_whole_lines_and_no_colours(self) -> None:
        long = "word " * 100
        shown = written(state("broken"), table(("A", "B"), [(long, state("active"))]))
        self.assertNotIn("\x1b", shown)
        self.assertIn(long, shown)
        self.assertEqual([line for line in shown.splitlines() if line != line.rstrip()], [])

    def test_a_terminal_gets_colours_unless_they_are_not_wanted(self) -> None:
        self.patch_environment(TERM="xterm-256color")
        self.assertIn("\x1b[1;31m", written(state("broken"), file=Terminal()))
        self.patch_environment(NO_COLOR="1")
        self.assertNotIn("31m", written(state("broken"), file=Terminal()))

    def patch_environment(self, **values: str) -> None:
        import os

        self.patch(os, "environ", {**os.environ, **values})

    def test_an_event_of_several_lines_is_set_below_its_beginning(self) -> None:
        event = {
            "at": 0,
            "kind": "x",
            "sentence": "first\nsecond\n",
            "leaseid": 3,
            "resourceid": None,
            "blueprint": "linux",
        }
        first, second = written(views.event(event)).splitlines()
        self.assertTrue(first.endswith("  lease 3, linux: first"))
        self.assertEqual(second.strip(), "second")
        self.assertEqual(second.index("second"), first.index("first") + 2)

    def test_json_is_not_changed(self) -> None:
        file = io.StringIO()
        value = {"sentence": "a\n\x1b[31m<br>&ä\u2028", "none": None, "half": 0.5}
        output = Output(as_json=True, file=file)
        output.json_line(value)
        self.assertEqual(file.getvalue().count("\n"), 1)
        self.assertEqual(json.loads(file.getvalue()), value)

    def test_an_error_has_its_remedy_in_both_forms(self) -> None:
        problem = Refused("it is [red]", "do that")
        errors = io.StringIO()
        Output(errors=errors).complain(problem)
        self.assertEqual(errors.getvalue(), "drydock: it is [red]\nRemedy: do that\n")
        errors = io.StringIO()
        Output(as_json=True, errors=errors).complain(problem)
        self.assertEqual(json.loads(errors.getvalue())["remedy"], "do that")


class TimeTests(SynchronousTestCase):
    def test_durations(self) -> None:
        for written_, seconds in (
            ("90", 90),
            ("45s", 45),
            ("30m", 1_800),
            ("2h", 7_200),
            ("1h30m", 5_400),
            ("1.5d", 129_600),
            ("1w", 604_800),
        ):
            self.assertEqual(times.seconds_of(written_), seconds)
        for odd in ("", "h", "2 parsecs", "-1h", "1h-", "2h x"):
            self.assertRaises(ValueError, times.seconds_of, odd)

    def test_times_are_durations_from_now_or_dates(self) -> None:
        self.assertEqual(times.time_of("2h", 1_000), 8_200)
        self.assertEqual(times.time_of("2030-01-01T00:00:00+01:00", 0), 1_893_452_400)
        self.assertEqual(times.time_of("2030-01-01T00:00:00Z", 0), 1_893_456_000)
        self.assertRaises(ValueError, times.time_of, "tomorrow", 0)

    def test_spans(self) -> None:
        for seconds, said in (
            (0, "0 s"),
            (59.6, "1 min"),
            (185, "3 min 5 s"),
            (7_800, "2 h 10 min"),
            (90_000, "1 d 1 h"),
            (-5, "0 s"),
        ):
            self.assertEqual(times.span(seconds), said)


class RemedyTests(SynchronousTestCase):
    def test_every_reason_for_waiting_has_a_remedy(self) -> None:
        kinds = {each.kind for each in Reason.__subclasses__()}
        self.assertEqual(kinds, set(remedies.OF_REASONS))
        for kind in kinds:
            self.assertNotIn("{", remedies.of_reason({"kind": kind, "blueprint": "linux"}))

    def test_every_state_of_a_blueprint_but_the_usual_one_has_a_remedy(self) -> None:
        modes = {each.value for each in Mode} - {Mode.ENABLED.value}
        others = {"misconfigured", "backing-off", "probing", "retired"}
        self.assertEqual(modes | others, set(remedies.OF_STATES))

    def test_what_a_later_version_says_is_shown_without_one(self) -> None:
        self.assertEqual(remedies.of_reason({"kind": "moon-phase"}), "")
        self.assertEqual(remedies.of_blueprint({"state": "dreaming"}), "")

    def test_the_event_that_the_command_leaves_out_is_one(self) -> None:
        self.assertIn("lease-renewed", {each.kind for each in Event.__subclasses__()})


class ProblemTests(SynchronousTestCase):
    def test_what_never_fits_is_a_problem_at_once_and_a_wait_after_a_while(self) -> None:
        def row(age: float, *kinds: str) -> dict[str, Any]:
            reasons = [{"kind": kind, "blueprint": "x", "sentence": kind} for kind in kinds]
            return {"leaseid": 1, "requested_at": 1_000 - age, "reasons": reasons}

        self.assertEqual(problems.of_waiting([row(10, "full", "does-not-fit")], 1_000), [])
        for never in (["does-not-fit"], ["declined"], ["does-not-fit", "declined"]):
            self.assertEqual(len(problems.of_waiting([row(10, *never)], 1_000)), 1)
        (found,) = problems.of_waiting([row(901, "full")], 1_000)
        self.assertIn("15 min", found.message)
        self.assertIn("raise `limit` of x", found.remedy)


class ExtraTests(SynchronousTestCase):
    def test_without_the_extra_it_says_what_to_install(self) -> None:
        program = (
            "import sys; sys.modules['httpx'] = None\n"
            "from buildbot_drydock.cli.__main__ import main; main()"
        )
        ended = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )
        self.assertEqual(ended.returncode, 1)
        self.assertIn("httpx is not installed", ended.stderr)
        self.assertIn("pip install 'buildbot-drydock[cli]'", ended.stderr)
