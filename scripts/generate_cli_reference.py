"""Write docs/cli-reference.md: the commands of ``drydock``, from the code that parses them.

With ``--check`` nothing is written; the exit status tells whether the file is current.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from buildbot_drydock.cli.exits import MEANINGS
from buildbot_drydock.cli.program import drydock
from buildbot_drydock.cli.settings import KEYS, SECRETS, variable

REFERENCE = Path(__file__).resolve().parents[1] / "docs" / "cli-reference.md"

INTRODUCTION = """\
<!-- Written by scripts/generate_cli_reference.py: change the descriptions in the code, then run it. -->

# Reference of the command `drydock`

`drydock [OPTIONS] COMMAND [ARGUMENTS]`. Every command has `--json` and `--help` as well;
[the guide](cli.md) says what to use when.
"""


def reference() -> str:
    """Return the whole document."""
    sections = [INTRODUCTION, "## Options\n", *options(drydock), ""]
    sections += [
        "## Settings\n",
        "An option goes before the environment, and that before the settings file.\n",
        "| option | environment | in the file | meaning |",
        "|---|---|---|---|",
        *settings(),
        "",
    ]
    for name, command in each_command(drydock):
        sections += section(name, command)
    sections += [
        "## Exit codes\n",
        "| code | meaning |",
        "|---|---|",
        *(f"| {int(code)} | {meaning} |" for code, meaning in MEANINGS.items()),
        "",
    ]
    return "\n".join(sections)


def each_command(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield all commands with the words that call them, those within groups after their group."""
    for word, command in group.commands.items():
        name = before + word
        yield name, command
        if isinstance(command, click.Group):
            yield from each_command(command, f"{name} ")


def section(name: str, command: click.Command) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(click.Context(command)))
    yield f"## {name}\n"
    yield f"`drydock {name} {usage}`\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    own = list(options(command))
    yield from own
    if own:
        yield ""


def options(command: click.Command) -> Iterator[str]:
    context = click.Context(command)
    rows = [
        (option, record)
        for option in command.params
        if isinstance(option, click.Option)
        and (option.name != "json" or command is drydock)
        and (record := option.get_help_record(context)) is not None
    ]
    if rows:
        yield "| option | meaning |"
        yield "|---|---|"
    for _, (names, meaning) in rows:
        yield f"| `{escaped(names)}` | {escaped(' '.join(meaning.split()))} |"


def settings() -> Iterator[str]:
    for key, meaning in KEYS.items():
        option = f"--{key.replace('_', '-')}"
        yield f"| `{option}` | `{variable(key)}` | `{key}` | {meaning} |"
    for key, meaning in SECRETS.items():
        yield f"| | `{variable(key)}` | | {meaning} |"
    yield "| `--config` | `DRYDOCK_CONFIG` | | the settings file |"


def escaped(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    text = reference()
    if parser.parse_args().check:
        current = REFERENCE.exists() and REFERENCE.read_text("utf-8") == text
        if not current:
            print(f"{REFERENCE} is out of date: run {Path(__file__).name}")
        return 0 if current else 1
    REFERENCE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
