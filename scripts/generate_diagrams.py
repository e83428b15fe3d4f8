"""Draw the life cycles into docs/concepts.md, from the tables that the code obeys.

With ``--check`` nothing is written; the exit status tells whether the file is current.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path

from buildbot_drydock.lifecycle import LEASE_MOVES, RESOURCE_MOVES

CONCEPTS = Path(__file__).resolve().parents[1] / "docs" / "concepts.md"

TABLES: Mapping[str, Mapping[Enum, Mapping[Enum, Enum]]] = {
    "resource": RESOURCE_MOVES,  # type: ignore[dict-item]
    "lease": LEASE_MOVES,  # type: ignore[dict-item]
}


class MarkersMissing(Exception):
    """The document has no place for a diagram."""


def diagram(moves: Mapping[Enum, Mapping[Enum, Enum]]) -> str:
    """Return a state diagram, in Mermaid, of all moves that change a status."""
    return "\n".join(["```mermaid", "stateDiagram-v2", *_lines(moves), "```"])


def _lines(moves: Mapping[Enum, Mapping[Enum, Enum]]) -> Iterator[str]:
    statuses = list(moves)
    yield f"    [*] --> {statuses[0].value}"
    for status, row in moves.items():
        for event, following in row.items():
            if following in statuses:
                yield f"    {status.value} --> {following.value}: {event.value}"
    for status, row in moves.items():
        if not any(following in statuses for following in row.values()):
            yield f"    {status.value} --> [*]"


def with_diagrams(text: str) -> str:
    """Return *text* with each diagram between its markers."""
    for name, moves in TABLES.items():
        begin, end = f"<!-- begin {name} diagram -->\n", f"<!-- end {name} diagram -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise MarkersMissing(
                f"{CONCEPTS} has no lines {begin.strip()!r} and {end!r}. Remedy: put them where the "
                "diagram shall be."
            )
        text = f"{before}{begin}{diagram(moves)}\n{end}{after}"
    return text


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only tell whether it is current")
    options = parser.parse_args(arguments)
    present = CONCEPTS.read_text("utf-8")
    wanted = with_diagrams(present)
    if options.check and present != wanted:
        print(f"{CONCEPTS} is not current. Remedy: run scripts/generate_diagrams.py.")
        return 1
    if not options.check:
        CONCEPTS.write_text(wanted, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
