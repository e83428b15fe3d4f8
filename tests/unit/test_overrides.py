"""What is edited at run time, laid over what is configured."""

from __future__ import annotations

from typing import Any

import pydantic
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.latent.ec2.pool_fields import EC2PoolFields
from buildbot_drydock.latent.hosts import HostPoolFields
from buildbot_drydock.latent.kinds import kinds
from buildbot_drydock.latent.overrides import (
    editable_fields,
    editable_values,
    edited,
    problems_of_edit,
)
from buildbot_drydock.latent.schedule import Schedule
from buildbot_drydock.latent.synthetic import SyntheticPool
from buildbot_drydock.model import Override

NOON = 1_750_000_000.0


def pool(**fields: Any) -> SyntheticPool:
    found = SyntheticPool("linux", **{"limit": 4, **fields})
    assert not found.problems, found.problems
    return found


def overrides(**values: Any) -> dict[str, Override]:
    return {name: Override(value=value, author="ana") for name, value in values.items()}


class MergingTests(SynchronousTestCase):
    def test_without_edits_all_is_as_configured(self) -> None:
        definition = pool()
        found = edited(definition, {})
        self.assertIs(found.definition, definition)
        self.assertEqual(found.ignored, {})

    def test_an_edit_is_what_the_planner_sees_and_the_rest_stays(self) -> None:
        definition = pool(idle_timeout=60.0, max_uses=3)
        found = edited(definition, overrides(limit=6, idle_timeout=None, placement="spread"))
        blueprint = found.definition.blueprint(NOON)
        self.assertEqual((blueprint.limit, blueprint.idle_timeout), (6, None))
        self.assertEqual((blueprint.placement.value, blueprint.max_uses), ("spread", 3))
        self.assertEqual(definition.blueprint(NOON).limit, 4)
        self.assertEqual(found.definition.name, "linux")

    def test_edits_that_are_right_only_together_are_both_in_force(self) -> None:
        found = edited(pool(), overrides(min_ready=6, limit=8))
        self.assertEqual(found.ignored, {})
        self.assertEqual(found.definition.blueprint(NOON).min_ready, 6)

    def test_an_edit_that_no_longer_fits_is_ignored_and_the_others_are_not(self) -> None:
        for wrong, words in (
            ({"min_ready": 9}, "lower min_ready to 4"),
            ({"limit": "many"}, "give limit a whole number"),
            ({"limit": -1}, "give limit a whole number"),
            ({"labels": {}}, "cannot be edited"),
            ({"gone": 5}, "there is no such field"),
        ):
            found = edited(pool(), overrides(max_uses=2, **wrong))
            (name,) = wrong
            self.assertEqual(list(found.ignored), [name])
            self.assertIn(words, found.ignored[name])
            self.assertEqual(found.definition.blueprint(NOON).max_uses, 2)
            self.assertEqual(found.definition.blueprint(NOON).limit, 4)

    def test_edits_right_together_are_kept_when_a_third_is_wrong(self) -> None:
        found = edited(pool(), overrides(min_ready=6, limit=8, max_uses=0))
        self.assertEqual(list(found.ignored), ["max_uses"])
        self.assertEqual(found.definition.blueprint(NOON).min_ready, 6)

    def test_of_edits_that_contradict_each_other_all_masters_ignore_the_same(self) -> None:
        one, other = {"limit": 2, "min_ready": 3}, {"min_ready": 3, "limit": 2}
        for values in (one, other):
            found = edited(pool(), overrides(**values))
            self.assertEqual(list(found.ignored), ["min_ready"])
            self.assertEqual(found.definition.blueprint(NOON).limit, 2)

    def test_an_edit_goes_before_the_schedule(self) -> None:
        always = Schedule("* * * * *", min_ready=3, limit=3)
        definition = pool(schedule=[always])
        self.assertEqual(definition.blueprint(NOON).limit, 3)
        blueprint = edited(definition, overrides(limit=9)).definition.blueprint(NOON)
        self.assertEqual((blueprint.limit, blueprint.min_ready), (9, 3))
        both = edited(definition, overrides(limit=9, min_ready=1)).definition
        self.assertEqual(both.blueprint(NOON).min_ready, 1)
        self.assertEqual(both.fields.schedule, ())

    def test_an_edit_at_odds_with_the_schedule_is_ignored(self) -> None:
        definition = pool(schedule=[Schedule("* * * * *", min_ready=3)])
        found = edited(definition, overrides(limit=2))
        self.assertIn("schedule[0]", found.ignored["limit"])
        self.assertEqual(found.definition.blueprint(NOON).limit, 4)

    def test_conflicts_with_what_is_configured_count_too(self) -> None:
        found = edited(pool(hourly_price=0.5), overrides(max_hourly_cost=0.1))
        self.assertIn("an hour of one host costs 0.5", found.ignored["max_hourly_cost"])


class EditTests(SynchronousTestCase):
    def test_all_that_is_wrong_is_told_at_once_with_field_and_remedy(self) -> None:
        values = {"limit": 0, "max_uses": "x", "labels": {}, "limmit": 1, "min_ready": 2}
        problems = problems_of_edit(pool(), {}, values)
        self.assertEqual(
            sorted(problem.field for problem in problems), ["labels", "limit", "limmit", "max_uses"]
        )
        for problem in problems:
            self.assertTrue(problem.remedy)
            self.assertEqual((problem.blueprint, problem.subject), ("linux", "blueprint"))

    def test_fields_that_are_wrong_together_name_the_edited_one(self) -> None:
        (problem,) = problems_of_edit(pool(min_ready=3), {}, {"limit": 2})
        self.assertEqual(problem.field, "limit")
        self.assertIn("raise limit to 3", problem.remedy)

    def test_an_edit_is_held_against_those_made_before(self) -> None:
        before = overrides(min_ready=4)
        (problem,) = problems_of_edit(pool(), before, {"limit": 3})
        self.assertEqual(problem.field, "min_ready")
        self.assertEqual(problems_of_edit(pool(), before, {"limit": 3, "min_ready": 1}), [])

    def test_an_older_edit_that_is_ignored_anyway_is_no_hindrance(self) -> None:
        before = overrides(min_ready=9, gone=1)
        self.assertEqual(problems_of_edit(pool(), before, {"max_uses": 2}), [])

    def test_numbers_that_no_column_holds_are_refused(self) -> None:
        for value in (10**400, float("inf"), float("nan"), True, "1"):
            for field in ("limit", "idle_timeout"):
                problems = problems_of_edit(pool(), {}, {field: value})
                self.assertEqual([p.field for p in problems], [field], (field, value))


class EditableTests(SynchronousTestCase):
    def test_nothing_that_is_baked_into_hosts_or_secret_is_editable(self) -> None:
        for cls in (each.fields_class for each in kinds(()).classes.values()):
            names = set(editable_fields(cls))
            self.assertLessEqual({"limit", "min_ready", "idle_timeout", "max_age"}, names)
            self.assertLessEqual(
                names,
                {
                    *("limit", "placement", "min_ready", "idle_timeout", "max_uses", "max_age"),
                    *("failure_budget", "max_hourly_cost", "max_daily_cost"),
                    "slots",  # of a lock, which has no hosts
                },
            )

    def test_the_schema_says_which_are_editable(self) -> None:
        for cls in (EC2PoolFields, HostPoolFields):
            properties = cls.model_json_schema()["properties"]
            marked = {name for name, each in properties.items() if each.get("editable")}
            self.assertEqual(marked, set(editable_fields(cls)))

    def test_a_kind_of_ones_own_may_mark_a_field_that_must_be_given(self) -> None:
        class OwnFields(SyntheticPool.fields_class):  # type: ignore[name-defined,misc]
            weight: int = pydantic.Field(ge=1, json_schema_extra={"editable": True})

        class Own(SyntheticPool):
            kind = "own"
            fields_class = OwnFields

        definition = Own("own", weight=2)
        found = edited(definition, overrides(weight=5))
        self.assertEqual(editable_values(found.definition.fields)["weight"], 5)
        self.assertEqual(editable_values(definition.fields)["weight"], 2)
        self.assertIn("weight", edited(definition, overrides(weight=0)).ignored)
