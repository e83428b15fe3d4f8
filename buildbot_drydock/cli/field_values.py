"""Values of a blueprint's fields as people write them: ``limit=6``, ``idle_timeout=10m``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from buildbot_drydock.cli.times import seconds_of

_NOTHING: Final = ("none", "null")


def value_of(text: str, schema: Mapping[str, Any]) -> Any:
    """Return the value that *text* stands for in a field with this JSON schema.

    Fields that may be nothing are so by ``none``; seconds may be a duration. What the schema does
    not tell is read as JSON, and as a text if it is none. Whether it fits is for the master to say.
    """
    types = _types(schema)
    if "null" in types and text.strip().lower() in _NOTHING:
        return None
    if "string" in types:
        return text
    if schema.get("unit") == "seconds":
        with suppress(ValueError):
            return seconds_of(text)
    try:
        return json.loads(text)
    except ValueError:
        return {"true": True, "false": False}.get(text.strip().lower(), text)


def shown(value: Any) -> str:
    """Return a value as it can be written."""
    if value is None:
        return "none"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _types(schema: Mapping[str, Any]) -> set[str]:
    """Return the JSON types that a field may have."""
    found = {str(each.get("type")) for each in (schema, *schema.get("anyOf", ()))}
    return found - {"None"}
