"""What is nobody's business is taken out before anything is shown.

Fields that may hold a secret are never read, or left out by name. This is for the rest: texts
written by others, such as the last lines of a program's output, and what was configured.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any, Final

import pydantic

HIDDEN: Final = "***"

# The fields of a person's lease that are made of its attributes.
_PRIVATE: Final[Mapping[str, Any]] = {
    "attributes": {},
    "builder": None,
    "build": None,
    "buildid": None,
}

# Who logs in, and with what, as in https://ana:password@example.org/.
_USER_INFO: Final = re.compile(r"(?<=://)[^\s/@'\"]+(?=@)")
_PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_ASSIGNED: Final = re.compile(
    r"(?i)\b([a-z_-]*(?:password|passwd|secret|token|api_?key|access_?key)[a-z_]*['\"]?\s*[=:]\s*)"
    r"(?:'[^']*'|\"[^\"]*\"|[^\s'\",;&]+)"
)
_SECRET_NAME: Final = re.compile(r"(?i)passw|secret|private_?key|api_?key|access_?key|credential")


def discreet(value: Any) -> Any:
    """Return a JSON-able value with the secrets taken out of all its texts."""
    if isinstance(value, str):
        return _discreet_text(value)
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if _SECRET_NAME.search(str(key)) and each else discreet(each)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [discreet(each) for each in value]
    return value


def public_lease(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a lease as it is shown in lists and messages, which no rule can show to some alone.

    What a person wrote down about a lease is left out. It is on the lease's own path.
    """
    shown = dict(row)
    if shown.get("person") is not None:
        shown.update({name: empty for name, empty in _PRIVATE.items() if name in shown})
    return shown


def _discreet_text(text: str) -> str:
    if "://" in text:
        text = _USER_INFO.sub(HIDDEN, text)
    if "PRIVATE KEY" in text:
        text = _PRIVATE_KEY.sub(HIDDEN, text)
    if "=" in text or ":" in text:
        text = _ASSIGNED.sub(rf"\1{HIDDEN}", text)
    return text


def configuration(fields: pydantic.BaseModel) -> dict[str, Any]:
    """Return what was configured, as JSON-able values, without what only may be written."""
    shown = {
        name: _configured(getattr(fields, name))
        for name, info in type(fields).model_fields.items()
        if not _is_secret(name, info)
    }
    found: dict[str, Any] = discreet(shown)
    return found


def _is_secret(name: str, info: Any) -> bool:
    extra = info.json_schema_extra
    write_only = isinstance(extra, Mapping) and bool(extra.get("writeOnly"))
    return write_only or bool(_SECRET_NAME.search(name))


def _configured(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, pydantic.BaseModel):
        return configuration(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _configured(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_configured(each) for each in value]
    return f"<{type(value).__name__}>"  # whatever it is, and whatever its repr would tell
