from importlib.metadata import EntryPoint
from typing import Any

import pydantic
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.latent.definition import CommonFields, Definition
from buildbot_drydock.latent.kinds import GROUP, kinds
from buildbot_drydock.latent.problems import expectation
from buildbot_drydock.latent.schedule import Schedule
from buildbot_drydock.model import Blueprint, BlueprintState, Mode, Placement
from buildbot_drydock.workerpool import WorkerPool


class PlainProvider:
    async def inventory(self) -> list[object]:
        return []


class ThoroughProvider(PlainProvider):
    async def prepare(self, resource: object, lease: object) -> None: ...

    async def vacate(self, resource: object, lease: object) -> None: ...


class CloudFields(CommonFields):
    region: str = pydantic.Field(description="Where.")
    key: pydantic.SecretStr = pydantic.Field(default=pydantic.SecretStr(""), description="A key.")


class Plain(Definition):
    kind = "plain"
    provider_class = PlainProvider


class Thorough(Definition):
    kind = "thorough"
    provider_class = ThoroughProvider


class Cloud(Definition):
    kind = "cloud"
    fields_class = CloudFields
    provider_class = PlainProvider
    provides = "machine"


class Other(Definition):
    kind = "plain"
    provider_class = PlainProvider


class Nameless(Definition):
    provider_class = PlainProvider


a_function = len


class CaseOfProblems(SynchronousTestCase):
    def problem(self, **arguments: Any) -> str:
        """Return the one problem with the arguments of a blueprint, as a sentence."""
        (found,) = Plain("linux", **arguments).problems
        self.assertEqual((found.blueprint, found.subject), ("linux", "blueprint"))
        self.assertIn(found.field, arguments)
        self.assertTrue(found.sentence().startswith(f"blueprint 'linux', field {found.field!r}: "))
        self.assertTrue(found.sentence().endswith(f" Remedy: {found.remedy}."))
        return found.sentence()

    def accepts(self, **arguments: Any) -> Blueprint:
        definition = Plain("linux", **arguments)
        self.assertEqual([each.sentence() for each in definition.problems], [])
        return definition.blueprint(0.0)


class FieldTests(CaseOfProblems):
    def test_the_defaults_are_those_of_the_model(self) -> None:
        self.assertEqual(
            self.accepts(),
            Blueprint(name="linux", kind="plain", state=BlueprintState(name="linux")),
        )

    def test_the_blueprint_has_what_was_written(self) -> None:
        written: dict[str, Any] = {
            "limit": 9,
            "leases_per_resource": 2,
            "labels": {"os": "debian"},
            "choices": {"image": ("bookworm", "trixie")},
            "min_ready": 3,
            "idle_timeout": None,
            "max_uses": 4,
            "max_age": 5000.0,
            "boot_timeout": 77.0,
            "listing_delay": 6.0,
            "poll_interval": 7.0,
            "sweep_interval": 88.0,
            "failure_budget": 8,
        }
        state = BlueprintState(name="linux", version=3, mode=Mode.PAUSED)
        self.assertEqual(
            Plain("linux", placement="spread", **written).blueprint(0.0, state),
            Blueprint(
                name="linux", kind="plain", placement=Placement.SPREAD, state=state, **written
            ),
        )

    def test_a_text_is_no_number(self) -> None:
        self.assertIn("limit is '3': input should be a whole number", self.problem(limit="3"))
        self.assertIn("number, more than 0 (seconds)", self.problem(boot_timeout="1 min"))

    def test_a_truth_value_is_no_number(self) -> None:
        self.problem(limit=True)
        self.problem(min_ready=False)
        self.problem(idle_timeout=True)
        self.problem(boot_timeout=True)

    def test_a_fraction_or_no_number_at_all_is_no_count(self) -> None:
        self.problem(limit=1.5)
        self.problem(max_uses=float("nan"))

    def test_times_are_finite(self) -> None:
        self.problem(idle_timeout=float("inf"))
        self.problem(boot_timeout=float("nan"))

    def test_bounds_hold_and_are_named(self) -> None:
        for field, wrong, least in (
            ("limit", 0, "at least 1"),
            ("leases_per_resource", 0, "at least 1"),
            ("min_ready", -1, "at least 0"),
            ("idle_timeout", -0.1, "at least 0"),
            ("max_uses", 0, "at least 1"),
            ("max_age", 0, "more than 0"),
            ("boot_timeout", 0, "more than 0"),
            ("listing_delay", -1, "at least 0"),
            ("poll_interval", 0, "more than 0"),
            ("sweep_interval", 0, "more than 0"),
            ("failure_budget", 0, "at least 1"),
        ):
            self.assertIn(least, self.problem(**{field: wrong}), field)

    def test_placement_is_one_of_two_words(self) -> None:
        self.assertIn("give placement 'pack' or 'spread'", self.problem(placement="random"))

    def test_an_unknown_field_is_answered_with_the_one_that_was_meant(self) -> None:
        self.assertIn("write 'limit' if that is meant", self.problem(limt=3))

    def test_an_unknown_field_like_no_other_is_answered_with_all(self) -> None:
        sentence = self.problem(xyzzy=3)
        for field in CommonFields.model_fields:
            self.assertIn(field, sentence)

    def test_every_field_has_a_description_and_every_time_its_unit(self) -> None:
        for field, schema in CommonFields.model_json_schema()["properties"].items():
            self.assertTrue(schema["description"].endswith("."), field)
            if field.endswith(("timeout", "interval", "age", "delay")):
                self.assertEqual(schema["unit"], "seconds")


class LabelTests(CaseOfProblems):
    def test_values_become_texts(self) -> None:
        blueprint = self.accepts(
            labels={"os": "debian", "cores": 8, "kvm": True, "gpu": False},
            choices={"release": [12, 13], "fast": (True,)},
        )
        self.assertEqual(
            blueprint.labels, {"os": "debian", "cores": "8", "kvm": "true", "gpu": "false"}
        )
        self.assertEqual(blueprint.choices, {"release": ("12", "13"), "fast": ("true",)})

    def test_other_values_are_refused_by_name(self) -> None:
        for wrong in (1.5, None, ["x"], b"x"):
            self.assertIn(f"labels['os'] is {wrong!r}", self.problem(labels={"os": wrong}))
            self.assertIn(
                f"choices['os'][1] is {wrong!r}", self.problem(choices={"os": [1, wrong]})
            )

    def test_names_are_texts_of_few_characters(self) -> None:
        self.accepts(labels={"example.org/os-name:x_1": "x", "x" * 63: "y"})
        for wrong in ("", "two words", "x" * 64, "(", 3, None):
            self.problem(labels={wrong: "x"})

    def test_labels_and_choices_are_dictionaries_and_offers_lists_with_something_in_them(
        self,
    ) -> None:
        self.problem(labels=["os"])
        self.problem(choices={"image": "bookworm"})
        self.problem(choices={"image": []})
        self.problem(choices=["image"])

    def test_a_label_is_either_settled_or_a_choice(self) -> None:
        (found,) = Plain("x", labels={"os": "a"}, choices={"os": ["b"]}).problems
        self.assertEqual(found.field, "choices")
        self.assertIn("'os' is in labels, too", found.message)


class ConflictTests(SynchronousTestCase):
    def fields(self, **arguments: Any) -> list[str]:
        return [found.field for found in Plain("linux", **arguments).problems]

    def test_no_more_is_kept_warm_than_may_live(self) -> None:
        self.assertEqual(self.fields(min_ready=3, limit=3), [])
        self.assertEqual(self.fields(min_ready=4, limit=3), ["min_ready"])

    def test_a_change_is_looked_for_at_least_as_often_as_nothing(self) -> None:
        self.assertEqual(self.fields(poll_interval=9, sweep_interval=9), [])
        self.assertEqual(self.fields(poll_interval=9, sweep_interval=8), ["poll_interval"])

    def test_a_host_is_listed_before_it_counts_as_failed(self) -> None:
        self.assertEqual(self.fields(listing_delay=9, boot_timeout=10), [])
        self.assertEqual(self.fields(listing_delay=9, boot_timeout=9), ["listing_delay"])

    def test_all_problems_are_found_at_once(self) -> None:
        self.assertEqual(
            self.fields(limit=0, boot_timeout=None, limt=1, poll_interval=9, sweep_interval=8),
            ["limit", "boot_timeout", "limt", "poll_interval"],
        )

    def test_a_field_that_is_wrong_by_itself_is_held_against_no_other(self) -> None:
        self.assertEqual(self.fields(limit="5", min_ready=4), ["limit"])


class ScheduledTests(CaseOfProblems):
    def test_the_entry_in_force_changes_what_it_says_and_nothing_else(self) -> None:
        definition = Plain(
            "linux",
            limit=9,
            min_ready=1,
            schedule=[
                Schedule("0 8 * * *", min_ready=5, timezone="UTC"),
                Schedule("0 19 * * *", min_ready=0, limit=2, timezone="UTC"),
            ],
        )
        self.assertEqual(definition.problems, ())
        hour = 3600.0
        morning, evening = definition.blueprint(9 * hour), definition.blueprint(20 * hour)
        self.assertEqual((morning.min_ready, morning.limit), (5, 9))
        self.assertEqual((evening.min_ready, evening.limit), (0, 2))

    def test_one_definition_is_asked_at_any_times_in_any_order(self) -> None:
        entries = [
            Schedule("0 8 * * *", limit=5, timezone="UTC"),
            Schedule("0 19 * * *", limit=2, timezone="UTC"),
        ]
        definition = Plain("linux", schedule=entries)
        hour, day = 3600.0, 86400.0
        for at, limit in (
            (9, 5), (18.99, 5), (19, 2), (31.99, 2), (32, 5), (9, 5), (20, 2), (10, 5), (-1, 2),
        ):  # fmt: skip
            self.assertEqual(definition.blueprint(100 * day + at * hour).limit, limit, at)

    def test_what_is_wrong_with_an_entry_is_named_with_its_place(self) -> None:
        for entry, words in (
            (Schedule("61 * * * *", limit=1), "schedule[1].cron is '61 * * * *'"),
            (Schedule("* * * *", limit=1), "has 5 parts, this has 4"),
            (Schedule("* * * * * *", limit=1), "has 5 parts, this has 6"),
            (Schedule("r * * * *", limit=1), "random times are not supported"),
            (Schedule("h * * * *", limit=1), "random times are not supported"),
            (Schedule("0 0 30 2 *", limit=1), "not a cron expression that ever comes"),
            (Schedule(8, limit=1), "schedule[1].cron is 8"),
            (Schedule("@daily", limit="1"), "schedule[1].limit is '1'"),
            (Schedule("@daily", limit=-1), "schedule[1].limit is -1"),
            (Schedule("@daily", limit=1, timezone="Mars/Olympus"), "no such time zone"),
            (Schedule("@daily", limit=1, timezone="../etc"), "no such time zone"),
            (Schedule("@daily", labels={}), "schedule[1].labels is {}"),
            ("@daily", "schedule[1] is '@daily'"),
        ):
            self.assertIn(words, self.problem(schedule=[Schedule("@daily", limit=1), entry]))

    def test_a_schedule_is_a_list(self) -> None:
        self.problem(schedule=Schedule("@daily", limit=1))

    def test_an_entry_changes_something(self) -> None:
        self.assertIn("changes nothing", self.problem(schedule=[Schedule("@daily")]))

    def test_an_entry_keeps_no_more_warm_than_may_live(self) -> None:
        self.assertIn(
            "keeps 2 resources warm with a limit of 1",
            self.problem(min_ready=2, limit=2, schedule=[Schedule("@daily", limit=1)]),
        )

    def test_all_that_is_wrong_with_all_entries_is_found_at_once(self) -> None:
        entries = [Schedule("x", limit="1"), Schedule("@daily", limit=1, timezone="x")]
        self.assertEqual(len(Plain("linux", schedule=entries).problems), 3)


class NameTests(SynchronousTestCase):
    def test_names_are_identifiers_of_at_most_64_characters(self) -> None:
        for name in ("linux", "linux-arm_64", "_", "L" * 64):
            self.assertEqual(Plain(name).problems, (), name)
        for name in (
            "",
            "L" * 65,
            "two words",
            "a ",
            " a",
            "1st",
            "a)b",
            "é",
            "a\n",
            "a\u200b",
            None,
            3,
            ["x"],
        ):
            (found,) = Plain(name).problems
            self.assertEqual(found.field, "name")
            self.assertIn("at most 64 letters", found.remedy)

    def test_a_forgotten_name_is_a_problem_not_an_exception(self) -> None:
        self.assertIn("the name is empty", Plain().problems[0].message)

    def test_fields_are_given_by_name(self) -> None:
        (found,) = Plain("linux", 4).problems
        self.assertIn("(4,)", found.message)
        self.assertIn("field=value", found.remedy)


class KindOfDefinitionTests(SynchronousTestCase):
    def test_what_a_provider_can_do_is_seen_from_its_methods(self) -> None:
        plain, thorough = Plain("x").blueprint(0.0), Thorough("x").blueprint(0.0)
        self.assertEqual((plain.prepares, plain.vacates), (False, False))
        self.assertEqual((thorough.prepares, thorough.vacates), (True, True))

    def test_a_kind_has_fields_of_its_own(self) -> None:
        blueprint = Cloud("x", region="eu").blueprint(0.0)
        self.assertEqual((blueprint.kind, blueprint.provides), ("cloud", "machine"))

    def test_a_field_without_a_default_is_asked_for(self) -> None:
        (found,) = Cloud("x").problems
        self.assertEqual((found.field, found.message), ("region", "region is missing"))

    def test_the_value_of_a_secret_is_never_shown(self) -> None:
        (found,) = Cloud("x", region="eu", key=12345).problems
        self.assertEqual(found.field, "key")
        self.assertNotIn("12345", found.sentence())

    def test_definitions_are_equal_if_they_say_the_same(self) -> None:
        self.assertEqual(Plain("x", labels={"a": True}), Plain("x", labels={"a": "true"}))
        self.assertEqual(hash(Plain("x", limit=2)), hash(Plain("x", limit=2)))
        for other in (Plain("y", limit=2), Plain("x", limit=3), Other("x", limit=2), "x"):
            self.assertNotEqual(Plain("x", limit=2), other)

    def test_definitions_with_problems_are_equal_if_the_same_was_written(self) -> None:
        self.assertEqual(Plain("x", limit="2"), Plain("x", limit="2"))
        self.assertNotEqual(Plain("x", limit="2"), Plain("x", limit="3"))
        self.assertNotEqual(Plain("x", 2), Plain("x", 3))


class ExpectationTests(SynchronousTestCase):
    def test_what_a_field_allows_is_said_in_words(self) -> None:
        for schema, words in (
            (
                {"type": "integer", "minimum": 1, "maximum": 9},
                "a whole number, at least 1, at most 9",
            ),
            ({"type": "number", "exclusiveMinimum": 0.5}, "a number, more than 0.5"),
            ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "a text or None"),
            ({"enum": ["a", "b"]}, "'a' or 'b'"),
            ({"const": "a"}, "'a'"),
            ({"type": "array", "items": {"type": "boolean"}}, "a list of: True or False"),
            ({"$ref": "#/$defs/Entry"}, "fields of Entry"),
            ({"type": "object", "values": "a dictionary of labels"}, "a dictionary of labels"),
            ({}, "a value"),
        ):
            self.assertEqual(expectation(schema), words)


class KindsTests(SynchronousTestCase):
    def errors(self, value: str) -> str:
        (error,) = kinds([EntryPoint("theirs", value, GROUP)]).errors
        self.assertIn(f"The entry point 'theirs' ({value}) of the group {GROUP}", error)
        self.assertIn("Remedy: ", error)
        return error

    def test_those_of_this_package_are_there(self) -> None:
        found = kinds([])
        self.assertEqual(found.errors, ())
        self.assertLessEqual({"local", "synthetic"}, set(found.classes))

    def test_another_package_adds_its_own(self) -> None:
        found = kinds([EntryPoint("theirs", f"{__name__}:Cloud", GROUP)])
        self.assertEqual(found.errors, ())
        self.assertIs(found.classes["cloud"], Cloud)

    def test_one_that_cannot_be_imported_is_left_out(self) -> None:
        self.assertIn("can't be imported: ModuleNotFoundError", self.errors("no.such.module:X"))
        self.assertIn("can't be imported: AttributeError", self.errors(f"{__name__}:Missing"))

    def test_one_that_is_no_definition_is_left_out(self) -> None:
        self.assertIn("not a subclass", self.errors(f"{__name__}:a_function"))
        self.assertIn("not a subclass", self.errors(f"{__name__}:PlainProvider"))

    def test_one_without_a_kind_is_left_out(self) -> None:
        self.assertIn("has no kind", self.errors(f"{__name__}:Nameless"))

    def test_of_two_with_one_kind_the_first_is_kept(self) -> None:
        found = kinds(
            [EntryPoint(name, f"{__name__}:{name}", GROUP) for name in ("Plain", "Other", "Plain")]
        )
        self.assertIs(found.classes["plain"], Plain)
        (error,) = found.errors
        self.assertIn("has the kind 'plain', which", error)
        self.assertIn("Plain has already", error)


class WorkerPoolTests(SynchronousTestCase):
    def problem(self, **arguments: Any) -> str:
        (found,) = WorkerPool("linux", **arguments).problems
        self.assertTrue(found.sentence().startswith(f"pool 'linux', field {found.field!r}: "))
        self.assertIn(found.field, arguments)
        return found.sentence()

    def test_names_of_workers_are_used_again_and_again(self) -> None:
        self.assertEqual(
            WorkerPool("linux", size=3).workernames(), ["linux-001", "linux-002", "linux-003"]
        )
        self.assertEqual(
            WorkerPool("linux", size=1, name_prefix="eu-").workernames(), ["eu-linux-001"]
        )

    def test_a_pool_that_grows_keeps_its_names(self) -> None:
        small, large = WorkerPool("x", size=999), WorkerPool("x", size=1001)
        self.assertEqual(small.workernames(), large.workernames()[:999])

    def test_names_of_workers_fit_into_the_table(self) -> None:
        self.assertEqual(WorkerPool("x" * 44, size=10_000).problems, ())
        self.assertEqual([p.field for p in WorkerPool("x" * 45).problems], ["name"])
        self.assertEqual(WorkerPool("x" * 40, name_prefix="abcdef").problems, ())
        (found,) = WorkerPool("x" * 40, name_prefix="abcdefg").problems
        self.assertEqual(found.field, "name_prefix")

    def test_requirements_are_labels(self) -> None:
        pool = WorkerPool("x", requires={"os": "debian", "cores": 8, "kvm": True})
        self.assertEqual(pool.fields.requires, {"os": "debian", "cores": "8", "kvm": "true"})
        self.assertEqual(pool.fields.requires, pool.fields.fixed_requirements())
        for wrong in ("debian", None, ["os"], {"os": 1.5}, {"two words": "x"}, {3: "x"}):
            self.problem(requires=wrong)

    def test_every_wrong_requirement_is_named(self) -> None:
        sentence = self.problem(requires={"os": 1.5, "two words": "x", "good": 1})
        self.assertIn("'os': 1.5", sentence)
        self.assertIn("'two words'", sentence)

    def test_requirements_or_single_values_may_be_rendered_later(self) -> None:
        from buildbot.plugins import util

        whole = WorkerPool("x", requires=util.Property("requires"))
        self.assertEqual((whole.problems, whole.fields.fixed_requirements()), ((), {}))
        part = WorkerPool("x", requires={"os": util.Property("os"), "kvm": True})
        self.assertEqual((part.problems, part.fields.fixed_requirements()), ((), {"kvm": "true"}))
        self.assertEqual(part, WorkerPool("x", requires={"os": util.Property("os"), "kvm": True}))

    def test_values_out_of_bounds_are_refused(self) -> None:
        for field, wrong in (
            ("size", 0),
            ("size", 10_001),
            ("size", "4"),
            ("size", True),
            ("blueprints", "linux"),
            ("blueprints", ["linux", "linux"]),
            ("name_prefix", "-eu"),
            ("name_prefix", "1"),
            ("build_wait_timeout", -2),
            ("build_wait_timeout", "10"),
            ("missing_timeout", 0),
            ("login_timeout", 0),
            ("reconnect_timeout", 0),
            ("stop_timeout", 0),
            ("max_start_attempts", 0),
            ("max_builds", 0),
            ("keep_on_shutdown", "yes"),
            ("directory", ""),
            ("properties", ["x"]),
            ("priority", 1.5),
            ("sizes", 3),
        ):
            self.problem(**{field: wrong})

    def test_a_worker_may_wait_for_ever_or_not_at_all(self) -> None:
        for fine in (-1, 0, 0.5, 600):
            self.assertEqual(WorkerPool("x", build_wait_timeout=fine).problems, ())

    def test_pools_are_equal_if_they_say_the_same(self) -> None:
        self.assertEqual(WorkerPool("x", size=3), WorkerPool("x", size=3))
        for other in (WorkerPool("y", size=3), WorkerPool("x", size=4), "x"):
            self.assertNotEqual(WorkerPool("x", size=3), other)
