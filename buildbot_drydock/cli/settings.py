"""Which master to ask, and as whom: from options, the environment and a file, in that order.

A password is never an argument, where every user of the machine would see it.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from buildbot_drydock.cli.exits import WrongSettings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

USUAL_MASTER: Final = "http://localhost:8010/"
USUAL_FILE: Final = "~/.config/drydock.toml"
CONFIG_VARIABLE: Final = "DRYDOCK_CONFIG"

# What each setting is, as the documentation and the complaints say it.
KEYS: Final[Mapping[str, str]] = {
    "master": "the address of the master's web page",
    "user": "whom to log in as",
    "password_file": "a file that holds the password and nothing else",
    "token_file": "a file that holds a token for a proxy in front of the master",
    "ca_file": "certificates to trust instead of the system's",
}
# These may be in the environment, and not in a file that is shared and kept.
SECRETS: Final[Mapping[str, str]] = {
    "password": "the password",
    "token": "a token for a proxy in front of the master",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """*ask_password* is called when a password is needed and none is known."""

    master: str = USUAL_MASTER
    user: str = ""
    password: str | None = None
    token: str | None = None
    ca_file: str = ""
    password_file: str = ""
    ask_password: Callable[[], str] | None = None


def variable(key: str) -> str:
    """Return the environment variable for a setting."""
    return f"DRYDOCK_{key.upper()}"


def read_settings(
    options: Mapping[str, str | None],
    environment: Mapping[str, str] | None = None,
    *,
    ask_password: Callable[[str], str] | None = None,
) -> Settings:
    """Put the settings together. Raises ``WrongSettings`` naming where the mistake is.

    The file is ``options["config"]``, or that of ``DRYDOCK_CONFIG``, or the usual one if there is.
    """
    found_in = os.environ if environment is None else environment
    given = {key: value for key, value in options.items() if value is not None}
    for key in (*KEYS, *SECRETS):
        if key not in given and found_in.get(variable(key)):
            given[key] = found_in[variable(key)]
    named = given.pop("config", None) or found_in.get(CONFIG_VARIABLE)
    written = read_file(Path(named or USUAL_FILE).expanduser(), must_exist=named is not None)
    values = {**_chosen(written, given), **given}
    user = values.get("user", "")
    return Settings(
        master=address(values.get("master", USUAL_MASTER)),
        user=user,
        password=_secret(values, "password"),
        token=_secret(values, "token"),
        ca_file=_existing(values.get("ca_file", "")),
        password_file=values.get("password_file", ""),
        ask_password=None if ask_password is None else (lambda: ask_password(user)),
    )


def read_file(path: Path, *, must_exist: bool) -> dict[str, Any]:
    try:
        content = path.read_text("utf-8")
    except FileNotFoundError:
        if must_exist:
            raise WrongSettings(f"there is no file {path}", "give --config another") from None
        return {}
    except (OSError, UnicodeDecodeError) as problem:
        raise WrongSettings(f"{path} can't be read: {problem}") from None
    try:
        written: dict[str, Any] = tomllib.loads(content)
    except tomllib.TOMLDecodeError as problem:
        raise WrongSettings(f"{path} is not TOML: {problem}") from None
    others = written.get("masters", {})
    if not isinstance(others, dict):
        raise WrongSettings(f"{path}: masters is no table", "write [masters.NAME]")
    _check({key: value for key, value in written.items() if key != "masters"}, f"{path}: ")
    for name, values in others.items():
        if not isinstance(values, dict):
            raise WrongSettings(f"{path}: masters.{name} is no table", f"write [masters.{name}]")
        _check(values, f"{path}: masters.{name}.")
    return written


def _check(values: Mapping[str, Any], where: str) -> None:
    for key, value in values.items():
        if key in SECRETS:
            raise WrongSettings(
                f"{where}{key} does not belong there", f"write it to a file, and give {key}_file"
            )
        if key not in KEYS:
            close = difflib.get_close_matches(key, KEYS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(KEYS)}"
            raise WrongSettings(f"{where}{key} is no setting", hint)
        if not isinstance(value, str):
            raise WrongSettings(f"{where}{key} is no text", 'write it in quotes: "..."')


def _chosen(written: Mapping[str, Any], given: dict[str, str]) -> dict[str, str]:
    """Return what the file says of the master that is meant; its address takes the name's place."""
    others = written.get("masters", {})
    usual = {key: value for key, value in written.items() if key != "masters"}
    name = given.get("master", usual.get("master", ""))
    if name in others:
        given.pop("master", None)
        # Credentials for one master are not sent to another.
        return {"ca_file": usual.get("ca_file", ""), **others[name]}
    if "master" in given and address(given["master"]) != address(usual.get("master", USUAL_MASTER)):
        return {}
    return usual


def address(text: str) -> str:
    """Return a master's address, with a slash at its end. Raises ``WrongSettings``."""
    complaint = WrongSettings(
        f"master: {text!r} is no address", "give one such as https://ci.example.org/"
    )
    try:
        parts = urlsplit(text)
        sensible = parts.scheme in ("http", "https") and parts.hostname
        _ = parts.port
    except ValueError:
        raise complaint from None
    if not sensible:
        raise complaint
    if parts.username or parts.password:
        raise WrongSettings(
            "master: it has a user or a password in it", "give user and password_file instead"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/"


def _secret(values: Mapping[str, str], key: str) -> str | None:
    """Return a secret, or the first line of its file."""
    if values.get(key):
        return values[key]
    name = values.get(f"{key}_file")
    if not name:
        return None
    try:
        content = (
            sys.stdin.readline() if name == "-" else Path(name).expanduser().read_text("utf-8")
        )
    except (OSError, UnicodeDecodeError) as problem:
        raise WrongSettings(f"{key}_file: {name} can't be read: {problem}") from None
    secret = content.split("\n")[0].rstrip("\r")
    if not secret:
        raise WrongSettings(f"{key}_file: {name} is empty", f"write the {key} to it")
    return secret


def _existing(name: str) -> str:
    if not name:
        return ""
    path = Path(name).expanduser()
    if not path.is_file():
        raise WrongSettings(f"ca_file: there is no file {path}")
    return str(path)
