"""What people write for a field arrives as the value of its type."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.cli.field_values import shown, value_of
from buildbot_drydock.latent.overrides import editable_fields
from buildbot_drydock.latent.synthetic import SyntheticPool

FIELDS = type(SyntheticPool("linux", limit=1).fields)
SCHEMA = FIELDS.model_json_schema()["properties"]

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "integer": st.integers(1, 100_000),
    "number": st.floats(0.001, 1e6),
    "null": st.none(),
}


def values(name: str) -> st.SearchStrategy[Any]:
    schema = SCHEMA[name]
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    types = [each["type"] for each in schema.get("anyOf", [schema])]
    return st.one_of(*(VALUES[each] for each in types))


class FieldValueTests(SynchronousTestCase):
    @given(st.data())
    def test_what_is_shown_can_be_written(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(editable_fields(FIELDS)))
        value = data.draw(values(name))
        self.assertEqual(value_of(shown(value), SCHEMA[name]), value)

    def test_durations_are_seconds(self) -> None:
        self.assertEqual(value_of("1h30m", SCHEMA["idle_timeout"]), 5_400.0)
        self.assertEqual(value_of("1h30m", SCHEMA["limit"]), "1h30m")

    def test_none_is_a_value_where_there_may_be_none(self) -> None:
        self.assertIsNone(value_of("None", SCHEMA["max_uses"]))
        self.assertEqual(value_of("none", SCHEMA["limit"]), "none")

    def test_texts_stay_texts(self) -> None:
        self.assertEqual(value_of("true", {"type": "string"}), "true")
        self.assertEqual(value_of("12", SCHEMA["placement"]), "12")

    def test_truth_is_written_as_in_python_or_json(self) -> None:
        for text, value in (("True", True), ("true", True), ("False", False)):
            self.assertIs(value_of(text, {"type": "boolean"}), value)

    def test_what_no_schema_tells_is_read_as_json(self) -> None:
        self.assertEqual(value_of('{"os": "debian"}', {}), {"os": "debian"})
        self.assertEqual(value_of("{os", {}), "{os")
