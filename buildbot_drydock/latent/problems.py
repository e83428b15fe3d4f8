"""What is wrong with a configuration, all of it at once, each with its remedy.

A set of fields is a pydantic model; this turns what pydantic finds into sentences for the person
who wrote the file. Values never raise: they are examined, and what was found is kept, so that one
run of ``buildbot checkconfig`` shows everything.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeVar

import pydantic
from pydantic_core import ErrorDetails

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and what to do about it."""

    blueprint: str  # its name, or that of the pool
    field: str
    message: str
    remedy: str
    subject: str = "blueprint"  # what has the name

    def sentence(self) -> str:
        owner = f"{self.subject} {self.blueprint!r}" if self.blueprint else self.subject
        return f"{owner}, field {self.field!r}: {self.message}. Remedy: {self.remedy}."


@dataclass(frozen=True, slots=True)
class Conflict:
    """Fields that are right one by one and wrong together. The first is the one to be named."""

    fields: tuple[str, ...]
    message: str
    remedy: str


class Fields(pydantic.BaseModel):
    """A set of typed fields, each with a description.

    ``json_schema_extra`` may tell a field's ``unit``, what ``values`` it takes and the ``remedy``
    for a wrong one, in words, where the schema says it badly.
    """

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=False
    )

    def conflicts(self) -> Iterator[Conflict]:
        """Yield what is wrong between fields. Override, and begin with the parent's own."""
        yield from ()


FieldsT = TypeVar("FieldsT", bound=Fields)


# In ``json_schema_extra``: the field may be changed while the master runs (see ``overrides``). Not for
# what is baked into hosts, what a provider is made with, and credentials.
EDITABLE: Final[dict[str, Any]] = {"editable": True}


def unit(text: str) -> dict[str, Any]:
    """Return what tells form and reference in which unit a field is."""
    return {"unit": text}


def examine(
    cls: type[FieldsT], arguments: Mapping[str, Any], *, subject: str, name: str
) -> tuple[FieldsT | None, tuple[Problem, ...]]:
    """Return the fields, or ``None`` and everything that is wrong with the arguments.

    Fields that are fine are still held against each other when others are not.
    """
    try:
        fields: FieldsT | None = cls.model_validate(dict(arguments))
        partial, errors = fields, []
    except pydantic.ValidationError as found:
        errors = found.errors(include_url=False)
        fields, partial = None, _without_wrong_fields(cls, arguments, errors)
    wrong = {_field(error["loc"]) for error in errors}
    problems = [_problem(cls, error, subject, name) for error in errors]
    for conflict in partial.conflicts() if partial is not None else ():
        if wrong.isdisjoint(conflict.fields):
            fields = None
            problems.append(
                Problem(name, conflict.fields[0], conflict.message, conflict.remedy, subject)
            )
    return fields, tuple(problems)


class Declaration:
    """Something with a name and fields, as written in master.cfg.

    Bad values don't raise: ``problems`` holds all that is wrong. Two declarations are equal if they
    are of one class and say the same, which is how a reconfig sees what has changed.
    """

    subject: ClassVar[str]  # what it is called in sentences
    longest_name: ClassVar[int]  # characters
    fields_class: ClassVar[type[Fields]]

    def __init__(self, name: object = "", *unnamed: object, **arguments: Any) -> None:
        self.name = name if isinstance(name, str) else repr(name)
        self.arguments = arguments
        self._fields, found = examine(
            self.fields_class, arguments, subject=self.subject, name=self.name
        )
        self.problems = (*self._name_problems(name), *self._unnamed_problems(unnamed), *found)

    @property
    def fields(self) -> Fields:
        """The validated fields; there are none if there are problems."""
        assert self._fields is not None, [problem.sentence() for problem in self.problems]
        return self._fields

    def problem(self, field: str, message: str, remedy: str) -> Problem:
        return Problem(self.name, field, message, remedy, self.subject)

    def _name_problems(self, name: object) -> Iterator[Problem]:
        if not isinstance(name, str):
            message = f"the name is {name!r}, which is not a text"
        elif not name:
            message = "the name is empty"
        elif len(name) > self.longest_name:
            message = f"the name has {len(name)} characters, {self.longest_name} are allowed"
        elif not NAME.fullmatch(name):
            message = f"the name {name!r} is not an identifier"
        else:
            return
        yield self.problem(
            "name",
            message,
            f"use at most {self.longest_name} letters, digits, '_' and '-', beginning with a "
            "letter or '_', such as 'linux'",
        )

    def _unnamed_problems(self, unnamed: tuple[object, ...]) -> Iterator[Problem]:
        if unnamed:
            yield self.problem(
                "name",
                f"more than the name is given without saying which field it is: {unnamed!r}",
                "write all fields but the name as field=value",
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Declaration) or type(self) is not type(other):
            return NotImplemented
        if self.name != other.name or self.problems != other.problems:
            return False
        if self._fields is None:
            return self.arguments == other.arguments
        return self._fields == other._fields

    def __hash__(self) -> int:
        return hash((type(self), self.name))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


def expectation(schema: Mapping[str, Any]) -> str:
    """Describe, in words, the values that a JSON schema of one field allows."""
    if "values" in schema:
        return str(schema["values"])
    if "anyOf" in schema:
        return " or ".join(expectation(choice) for choice in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(repr(value) for value in schema["enum"])
    if "const" in schema:
        return repr(schema["const"])
    if "$ref" in schema:
        return f"fields of {str(schema['$ref']).rsplit('/', 1)[-1]}"
    if schema.get("type") == "array":
        items = schema.get("items", {})
        least = " of at least one of" if schema.get("minItems") else " of"
        return f"a list{least}: {expectation(items)}"
    words = {
        "integer": "a whole number",
        "number": "a number",
        "string": "a text",
        "boolean": "True or False",
        "null": "None",
        "object": "a dictionary",
    }
    text = words.get(str(schema.get("type")), "a value")
    return ", ".join([text, *_bounds(schema)])


def _bounds(schema: Mapping[str, Any]) -> Iterator[str]:
    for key, word in (
        ("minimum", "at least"),
        ("exclusiveMinimum", "more than"),
        ("maximum", "at most"),
        ("exclusiveMaximum", "less than"),
    ):
        if key in schema:
            yield f"{word} {schema[key]:g}"


def _without_wrong_fields(
    cls: type[FieldsT], arguments: Mapping[str, Any], errors: Sequence[ErrorDetails]
) -> FieldsT | None:
    wrong = {_field(error["loc"]) for error in errors}
    try:
        return cls.model_validate({k: v for k, v in arguments.items() if k not in wrong})
    except pydantic.ValidationError:
        return None  # a field without a default is missing


def _field(location: tuple[int | str, ...]) -> str:
    return str(location[0]) if location else "arguments"


def _path(location: tuple[int | str, ...]) -> str:
    """Return where a value is, as Python would have it: ``schedule[0].cron``, ``labels['os']``."""
    text = _field(location)
    for before, part in itertools.pairwise(location):
        if isinstance(before, int) and isinstance(part, str):
            text += f".{part}"
        elif part != "[key]":
            text += f"[{part!r}]"
    return text


def _problem(cls: type[Fields], error: ErrorDetails, subject: str, name: str) -> Problem:
    location, kind = error["loc"], error["type"]
    field, path = _field(location), _path(location)
    properties = cls.model_json_schema()["properties"]
    schema = properties.get(field, {})
    if kind == "extra_forbidden" and len(location) == 1:
        return Problem(name, field, "there is no such field", _nearest(field, properties), subject)
    if kind == "missing":
        message = f"{path} is missing"
    elif schema.get("writeOnly"):  # a secret: its value is nobody's business
        message = f"{path}: {_reason(error)}"
    else:
        message = f"{path} is {_shortened(error['input'])}: {_reason(error)}"
    return Problem(name, field, message, _remedy(field, schema), subject)


def _reason(error: ErrorDetails) -> str:
    text = error["msg"].removeprefix("Value error, ").rstrip(".")
    for theirs, ours in (("valid integer", "whole number"), ("valid tuple", "list")):
        text = text.replace(theirs, ours)
    return text[:1].lower() + text[1:]


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _remedy(field: str, schema: Mapping[str, Any]) -> str:
    if "remedy" in schema:
        return str(schema["remedy"])
    measure = f" ({schema['unit']})" if "unit" in schema else ""
    return f"give {field} {expectation(schema)}{measure}"


def _nearest(field: str, properties: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(field, properties, n=1)
    if close:
        return f"write {close[0]!r} if that is meant, or remove it"
    return f"remove it; the fields are {', '.join(sorted(properties))}"
