"""The file that lists hosts, in YAML or JSON: read, checked, and read again when it has changed.

It holds a list of hosts, or a mapping from their names to their fields::

    build1: {address: 10.0.0.5, labels: {os: debian}, slots: 2}
    build2: {address: 10.0.0.6, disabled: {reason: disk swap, until: 2030-01-31T14:00:00+01:00}}
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from buildbot_drydock.latent.hosts_fields import HostFields, arguments_of
from buildbot_drydock.latent.problems import Problem, examine

SUFFIXES: Final = (".yaml", ".yml", ".json")
_KEY_OF_HOSTS: Final = "hosts"  # a file may have them under this key, and nothing else


class FileProblem(Exception):
    """A file that cannot be read, or is no list of hosts. The message says where and why."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Entry:
    """A host as a file has it, unchecked."""

    arguments: object
    line: int | None = None


def read(path: Path) -> list[Entry]:
    """Read a file's hosts. Raises ``FileProblem``. Blocks."""
    if path.suffix.lower() not in SUFFIXES:
        raise FileProblem(
            f"its name ends with {path.suffix!r}", f"name it with one of {', '.join(SUFFIXES)}"
        )
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise FileProblem("there is no such file", f"write {path}, or correct its path") from None
    except OSError as error:
        raise FileProblem(
            f"it can't be read: {error.strerror}", "let the master's user read it"
        ) from None
    except UnicodeDecodeError as error:
        raise FileProblem(
            f"it is not a text in UTF-8: {error.reason}", "save it as UTF-8"
        ) from None
    return _entries_of_json(text) if path.suffix.lower() == ".json" else _entries_of_yaml(text)


def checked(entries: Sequence[object], name: str) -> tuple[list[HostFields], list[Problem]]:
    """Return the hosts that are right by themselves, and what is wrong with the others.

    *entries* are ``Host``, ``Entry`` or dictionaries. The problems are of the field ``hosts`` of
    the blueprint *name*; their messages begin with the host.
    """
    hosts: list[HostFields] = []
    problems: list[Problem] = []
    for number, entry in enumerate(entries):
        line = entry.line if isinstance(entry, Entry) else None
        given = entry.arguments if isinstance(entry, Entry) else arguments_of(entry)
        if isinstance(given, HostFields):
            hosts.append(given)
            continue
        where = f"hosts[{number}]" if line is None else f"line {line}"
        if not isinstance(given, Mapping):
            problems.append(
                Problem(
                    name,
                    "hosts",
                    f"{where} is {_short(given)}, not a host",
                    "write a host such as Host('build1', address='10.0.0.5')"
                    if not isinstance(entry, Entry)
                    else "write a host such as {name: build1, address: 10.0.0.5}",
                )
            )
            continue
        arguments = {str(key): value for key, value in given.items()}
        called = _called(arguments.get("name"), where, line)
        fields, found = examine(HostFields, arguments, subject="host", name="")
        problems.extend(
            Problem(name, "hosts", f"{called}, field {each.field!r}: {each.message}", each.remedy)
            for each in found
        )
        if fields is not None:
            hosts.append(fields)
    return hosts, problems


def _called(name: object, where: str, line: int | None) -> str:
    if not isinstance(name, str):
        return where
    return f"host {name!r}" if line is None else f"host {name!r} (line {line})"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


# --- watching -----------------------------------------------------------------------------------


class WatchedFile:
    """Tells whether a file has changed since it was last looked at."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: object = None

    def changed(self) -> bool:
        """Look at the file, not into it. Blocks. One that has vanished has changed."""
        try:
            found = os.stat(self.path)
            signature: object = (found.st_mtime_ns, found.st_size, found.st_ino)
        except OSError as error:
            signature = (error.errno,)
        changed, self._seen = signature != self._seen, signature
        return changed


# --- formats ------------------------------------------------------------------------------------


def _entries(content: object, line_of: Callable[[object, int], int | None]) -> list[Entry]:
    """Return the hosts of a list, or of a mapping by name."""
    if isinstance(content, Mapping) and set(content) == {_KEY_OF_HOSTS}:
        content = content[_KEY_OF_HOSTS]
    if isinstance(content, list):
        return [Entry(each, line_of(each, number)) for number, each in enumerate(content)]
    if isinstance(content, Mapping):
        return [
            Entry(_named(name, fields), line_of(fields, number))
            for number, (name, fields) in enumerate(content.items())
        ]
    raise FileProblem(
        f"it holds {'nothing' if content is None else _short(content)}, and no hosts",
        "write a list of hosts, or a mapping from names to their fields; [] for none",
    )


def _named(name: object, fields: object) -> object:
    if not isinstance(fields, Mapping):
        return fields
    if "name" in fields and fields["name"] != name:
        return {**fields, "name": f"{name} / {fields['name']}"}  # no name at all, so it is told
    return {**fields, "name": name}


def _entries_of_json(text: str) -> list[Entry]:
    try:
        content = json.loads(text, object_pairs_hook=_without_twice)
    except json.JSONDecodeError as error:
        raise FileProblem(
            f"line {error.lineno}, column {error.colno}: it is not JSON: {error.msg}",
            "correct it there",
        ) from None
    return _entries(content, lambda _, number: None)


def _without_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise FileProblem(f"{twice!r} is there twice", "remove one, or give it another name")
    return found


class _Loader(yaml.SafeLoader):
    """Keeps the line on which each mapping begins, and accepts no key twice."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lines: dict[int, int] = {}  # by id: the content keeps them alive

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode):
                if key_node.value in seen:
                    line = key_node.start_mark.line + 1
                    raise FileProblem(
                        f"line {line}: {key_node.value!r} is there twice",
                        "remove one, or give it another name",
                    )
                seen.add(key_node.value)
        return dict(super().construct_mapping(node, deep=deep))

    def construct_yaml_map(self, node: Any) -> Generator[dict[Any, Any], None, None]:
        found: dict[Any, Any] = {}
        self.lines[id(found)] = node.start_mark.line + 1
        yield found
        found.update(self.construct_mapping(node))


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.construct_yaml_map)


def _entries_of_yaml(text: str) -> list[Entry]:
    loader = _Loader(text)
    try:
        content = loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise FileProblem(f"{where}it is not YAML: {error.problem}", "correct it there") from None
    except (yaml.YAMLError, ValueError) as error:
        raise FileProblem(f"it is not YAML: {error}", "correct it") from None
    finally:
        loader.dispose()
    lines = loader.lines
    return _entries(content, lambda fields, _: lines.get(id(fields)))
