"""``edit``: fields of a blueprint that differ from master.cfg until they are reset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import click

from buildbot_drydock.cli import views
from buildbot_drydock.cli.client import Row, part
from buildbot_drydock.cli.exits import Refused
from buildbot_drydock.cli.field_values import shown, value_of
from buildbot_drydock.cli.invocation import Invocation, verb


@verb("edit")
@click.argument("name", metavar="BLUEPRINT")
@click.argument("changes", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--reset", multiple=True, metavar="FIELD", help="This field is as configured again.")
@click.option("--reset-all", is_flag=True, help="All fields that were edited are so.")
@click.option("--reason", "-m", default="", metavar="TEXT", help="Why, for others to read.")
def edit(
    invocation: Invocation,
    name: str,
    changes: tuple[str, ...],
    reset: tuple[str, ...],
    reset_all: bool,
    reason: str,
) -> None:
    """Give fields of a blueprint other values than master.cfg, on all masters, until they are reset.

    Without a change, show the fields that can be edited. none is no value, and durations may be
    written as 90s, 10m or 2h.
    """
    written = _written(changes)
    client, output = invocation.client, invocation.output
    path = f"drydock_blueprints/{part(name)}"
    before = client.row(path, f"blueprint {name!r}")
    fields: Mapping[str, Any] = (before["schema"] or {}).get("properties", {})
    overrides = before["overrides"]
    _check_reset(reset, {*fields, *overrides})
    resets = [*reset, *(each for each in overrides if reset_all and each not in (*reset, *written))]
    values = {field: value_of(given, fields.get(field, {})) for field, given in written.items()}
    if values or resets:
        row = client.act(path, "edit", {"values": values, "reset": resets, "reason": reason})
        touched = (*values, *resets)
    else:
        row = before
        touched = tuple(field for field, schema in fields.items() if schema.get("editable"))
    if output.as_json:
        output.json(row)
    elif values or resets:
        for field in touched:
            output.say(_line(row, field))
    elif reset_all:
        output.note(f"nothing of {name} is edited")
    elif touched:
        output.show(views.fields(row, touched))
    else:
        raise Refused(f"{name} left the configuration, and has no fields to edit")


def _written(changes: Iterable[str]) -> dict[str, str]:
    """Take changes apart. Raises ``UsageError``."""
    written: dict[str, str] = {}
    for each in changes:
        field, separator, value = each.partition("=")
        if not separator or not field:
            raise click.UsageError(f"{each!r} is no change; write FIELD=VALUE, such as limit=6")
        if field in written:
            raise click.UsageError(f"{field} is given twice")
        written[field] = value
    return written


def _check_reset(reset: Iterable[str], known: set[str]) -> None:
    for each in reset:
        if each not in known:
            raise click.BadParameter(f"there is no field {each!r}", param_hint="--reset")


def _line(row: Row, field: str) -> str:
    """Say what a field is now."""
    configured = shown(row["configuration"].get(field))
    override = row["overrides"].get(field)
    if override is None:
        return f"{field} of {row['name']} is {configured} as configured"
    if override["ignored"]:
        return f"{field} of {row['name']} stays {configured}: {override['ignored']}"
    return f"{field} of {row['name']} is {shown(override['value'])}, configured is {configured}"


COMMANDS: Final = (edit,)
