"""What is worked out for visitors beside the columns of a row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.model import Blueprint, HostState, Mode
from buildbot_drydock.store.usage import BlueprintUsage, Usage
from buildbot_drydock.testing.builders import NOW, blueprint, host_list, host_state, listed_host
from buildbot_drydock.www.rows import blueprint_rows, host_rows


class BlueprintRowTests(SynchronousTestCase):
    def capacity(self, of: Blueprint) -> Any:
        (row,) = blueprint_rows([of], {}, Usage(), {}, {}, NOW)
        return row["capacity"]

    def test_there_can_be_as_many_resources_as_the_limit_and_listed_hosts_allow(self) -> None:
        lab = host_list("a", listed_host("b", slots=4), "c")
        for of, limit, expected in (
            (blueprint("linux"), 7, 7),
            (lab, 10_000, 3),
            (lab, 2, 2),
            (host_list(), 10_000, 0),
        ):
            self.assertEqual(self.capacity(replace(of, limit=limit)), expected, (of.name, limit))

    def test_of_what_is_not_configured_nobody_knows(self) -> None:
        usage = Usage(blueprints={"gone": BlueprintUsage(resources={"active": 1})})
        (row,) = blueprint_rows([], {}, usage, {}, {}, NOW)
        self.assertEqual((row["name"], row["capacity"]), ("gone", None))


class HostRowTests(SynchronousTestCase):
    def words(self, host: Any, *states: HostState) -> tuple[bool, bool]:
        usage = Usage(host_states={each.name: each for each in states})
        (row,) = host_rows([host_list(host)] if host else [], usage, NOW)
        return row["in_service"], row["disabled"]

    def test_a_host_is_disabled_if_somebody_wants_that_and_not_if_it_fails(self) -> None:
        disabled = host_state("a", mode=Mode.DISABLED, mode_reason="disk swap")
        over = replace(disabled, mode_until=NOW - 1)
        for host, states, expected in (
            (listed_host("a"), [], (True, False)),
            (listed_host("a", disabled="a new disk"), [], (False, True)),
            (listed_host("a", unavailable="failed while connecting"), [], (False, False)),
            (listed_host("a"), [disabled], (False, True)),
            (listed_host("a", unavailable="no answer"), [disabled], (False, True)),
            (listed_host("a"), [over], (True, False)),
            (None, [disabled], (False, True)),
        ):
            self.assertEqual(self.words(host, *states), expected, (host, states))
