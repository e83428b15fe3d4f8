"""What a part of the benchmark returns: rows, each with its target and whether that was met."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Measured = dict[str, Any]
_HOLDS = {"<": operator.lt, "<=": operator.le, ">=": operator.ge}


def measured(name: str, value: float, unit: str, target: str | None = None) -> Measured:
    """Return one row about time; *target* is such as ``<= 1.1``."""
    return _row(name, value, unit, target) | {"timed": True}


def counted(name: str, value: float, unit: str, target: str | None = None) -> Measured:
    """Return one row about a number that is the same on each machine, however busy."""
    return _row(name, value, unit, target) | {"timed": False}


def missed(rows: Sequence[Measured]) -> list[Measured]:
    """Return the rows whose target is not met."""
    return [row for row in rows if row["met"] is False]


def _row(name: str, value: float, unit: str, target: str | None) -> Measured:
    met = None
    if target is not None:
        sign, bound = target.split()
        if sign not in _HOLDS:
            raise ValueError(
                f"target of {name}: {target!r} begins with none of {', '.join(_HOLDS)}"
            )
        met = _HOLDS[sign](value, float(bound))
    return {"name": name, "value": round(value, 4), "unit": unit, "target": target, "met": met}


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def show(rows: Sequence[Measured]) -> None:
    """Print the rows as a table."""
    for row in rows:
        verdict = {True: "met", False: "MISSED", None: ""}[row["met"]]
        value, target = f"{row['value']:.3f}", row["target"] or ""
        print(f"{row['name']:36} {value:>12}  {row['unit']:26} {target:8} {verdict}".rstrip())


def write(rows: Sequence[Measured], path: Path) -> None:
    """Write the rows as a JSON list of objects."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(rows, indent=2) + "\n")
