"""Environment variables that a pool gives its hosts, and which of them look like secrets."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Annotated, Final

import pydantic

from buildbot_drydock.latent.problems import Conflict

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET: Final = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|PRIVATE_?KEY|API_?KEY|CREDENTIAL", re.I)


def variable(value: object) -> object:
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
        raise ValueError("a variable's name has letters, digits and '_' only")
    return value


Variables = dict[Annotated[str, pydantic.BeforeValidator(variable)], str]


def secrets_in(names: Collection[str], readers: str) -> Iterator[Conflict]:
    """Yield what is wrong with variables that *readers* can read."""
    for name in sorted(names):
        if _SECRET.search(name):
            yield Conflict(
                ("env",),
                f"{name} looks like a secret, and {readers} reads the variables",
                "give it to the build step that needs it, as a secret of Buildbot's",
            )
