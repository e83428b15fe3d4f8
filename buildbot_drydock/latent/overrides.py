"""Laying what was edited at run time over what is configured, by the schema that checks both.

A field is editable if its schema says so. An edit that was right once may no longer be when
master.cfg has changed: then the configured value is in force, and why is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pydantic

from buildbot_drydock.latent.definition import CommonFields, Definition
from buildbot_drydock.latent.problems import Fields, Problem, examine
from buildbot_drydock.latent.schedule import Entry
from buildbot_drydock.model import Override

_SCHEDULED = ("min_ready", "limit")


@dataclass(frozen=True)
class Edited:
    """A definition with the edits that can be in force, and why others can't."""

    definition: Definition
    ignored: Mapping[str, str]  # by field, why


def editable_fields(cls: type[CommonFields]) -> tuple[str, ...]:
    """Return the names of the fields that can be edited at run time."""
    return tuple(
        name
        for name, info in cls.model_fields.items()
        if isinstance(info.json_schema_extra, Mapping) and info.json_schema_extra.get("editable")
    )


def editable_values(fields: CommonFields) -> dict[str, Any]:
    """Return the values of those fields, as JSON has them."""
    return fields.model_dump(mode="json", include=set(editable_fields(type(fields))))


def edited(definition: Definition, overrides: Mapping[str, Override]) -> Edited:
    """Lay all edits over a definition that can be in force together.

    Edits may be right only together, so they are tried again while any of them could be added; in
    the schema's order, so that all masters with one configuration agree.
    """
    values = {name: override.value for name, override in overrides.items()}
    if not values:
        return Edited(definition, {})
    whole, problems = _laid_over(definition, values)
    if whole is not None:
        return Edited(whole, {})
    kept: dict[str, Any] = {}
    found = definition
    fields = type(definition.fields).model_fields
    left = sorted(values, key=lambda name: list(fields).index(name) if name in fields else -1)
    while added := next(_addable(definition, kept, values, left), None):
        name, found = added
        kept[name] = values[name]
        left.remove(name)
    ignored = {}
    for name in left:
        _, problems = _laid_over(definition, {**kept, name: values[name]})
        ignored[name] = "; ".join(problem.sentence() for problem in problems)
    return Edited(found, ignored)


def _addable(
    definition: Definition, kept: Mapping[str, Any], values: Mapping[str, Any], left: list[str]
) -> Iterator[tuple[str, Definition]]:
    for name in left:
        found, _ = _laid_over(definition, {**kept, name: values[name]})
        if found is not None:
            yield name, found


def problems_of_edit(
    definition: Definition, before: Mapping[str, Override], values: Mapping[str, Any]
) -> list[Problem]:
    """Return all that is wrong with an edit of some fields, on top of those edited *before*.

    Edits made before that are not in force anyway don't count, unless they are edited now.
    """
    kept = edited(definition, before)
    all_values = {
        name: override.value
        for name, override in before.items()
        if name not in kept.ignored and name not in values
    }
    _, problems = _laid_over(definition, {**all_values, **values})
    return problems


def _laid_over(
    definition: Definition, values: Mapping[str, Any]
) -> tuple[Definition | None, list[Problem]]:
    """Return the definition with these values in force, or all that is wrong with them."""
    configured = definition.fields
    cls = type(configured)
    problems = list(_not_editable(definition, cls, values))
    wrong = {problem.field for problem in problems}
    given = {name: value for name, value in values.items() if name not in wrong}
    model = _editable_model(cls)
    checked, found = examine(model, given, subject=definition.subject, name=definition.name)
    problems += found
    wrong |= {problem.field for problem in found}
    if checked is None:
        given = {name: value for name, value in given.items() if name not in wrong}
        checked, _ = examine(model, given, subject=definition.subject, name=definition.name)
    if checked is None:  # never seen, but the problems found say enough
        return None, problems
    update: dict[str, Any] = {name: getattr(checked, name) for name in given}
    update["schedule"] = tuple(_unscheduled(configured.schedule, update))
    fields = configured.model_copy(update=update)
    for conflict in fields.conflicts_of_edits():
        if wrong.isdisjoint(conflict.fields) and not update.keys().isdisjoint(conflict.fields):
            field = next(name for name in conflict.fields if name in update)
            problems.append(definition.problem(field, conflict.message, conflict.remedy))
    return (None if problems else definition.with_fields(fields)), problems


def _not_editable(
    definition: Definition, cls: type[CommonFields], values: Mapping[str, Any]
) -> Iterator[Problem]:
    editable = editable_fields(cls)
    for name in values:
        if name in cls.model_fields and name not in editable:
            yield definition.problem(
                name,
                "it cannot be edited at run time",
                f"change it in master.cfg, or edit one of {', '.join(sorted(editable))}",
            )


@lru_cache(maxsize=64)
def _editable_model(cls: type[CommonFields]) -> type[Fields]:
    """Return a model of the editable fields alone, each as the schema has it."""
    fields: dict[str, Any] = {}
    for name in editable_fields(cls):
        info = copy(cls.model_fields[name])
        if info.is_required():
            info.default = None
        fields[name] = (info.annotation, info)
    model: type[Fields] = pydantic.create_model(
        f"Editable{cls.__name__}", __base__=Fields, **fields
    )
    return model


def _unscheduled(entries: tuple[Entry, ...], update: Mapping[str, Any]) -> Iterator[Entry]:
    """Take what was edited out of the schedule, which would otherwise prevail over the edit."""
    edits = {name: None for name in _SCHEDULED if name in update}
    for entry in entries:
        left = entry.model_copy(update=edits)
        if not edits or left.min_ready is not None or left.limit is not None:
            yield left
