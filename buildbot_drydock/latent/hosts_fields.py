"""What a user writes about listed hosts and the way to them: ``Host`` and ``SSH``.

They stand in master.cfg; hosts also stand in a file (see ``inventory_file``), with the same fields.
Files that are named here are looked at, as they lie on the master's machine; no network is used.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, Final

import pydantic

from buildbot_drydock.latent.definition import LabelKey, LabelValue
from buildbot_drydock.latent.problems import Conflict, Fields, unit
from buildbot_drydock.latent.written import Written, sequence

HOST_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
HOST_LABEL: Final = "host"  # its value is the host's name
USUAL_PORT: Final = 22
MOST_PORT: Final = 65_535

_ADDRESS: Final = re.compile(r"[A-Za-z0-9_.:%-]{1,255}")
_USER: Final = re.compile(r"[^\s@:/,]{1,64}")
_KEY_TYPE: Final = re.compile(r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+")
_JUMP: Final = re.compile(
    r"(?:(?P<user>[^@\s,]+)@)?(?P<address>[^@\s,:]+|\[[^\]]+\])(?::(?P<port>\d+))?"
)


class Host(Written):
    """A machine, as written in master.cfg: ``Host('build1', address='10.0.0.5', slots=2)``."""

    def __init__(self, name: object = "", **arguments: Any) -> None:
        super().__init__(name=name, **arguments)


class SSH(Written):
    """The way to the hosts of a pool: ``SSH(user='ci', keys=[...], known_hosts=...)``."""


def arguments_of(value: object) -> object:
    """Return what a ``Host`` or an ``SSH`` was given, for a schema to look at."""
    return value.arguments if isinstance(value, Host | SSH) else value


def local_path(path: str) -> Path:
    """Return where a file is that master.cfg names, relative to the master's directory.

    Buildbot works in that directory, except in ``buildbot checkconfig DIRECTORY``; and it is the
    last entry of ``sys.path`` while it reads master.cfg.
    """
    given = Path(path).expanduser()
    if given.is_absolute():
        return given
    candidates = [Path(each) / given for each in (os.getcwd(), *sys.path[-1:])]
    return next((each for each in candidates if each.exists()), candidates[0])


# --- what a value must look like ---------------------------------------------------------------


def _checked(pattern: re.Pattern[str], text: str) -> Any:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(text)
        return value

    return pydantic.AfterValidator(check)


def _public_key(value: str) -> str:
    parts = value.split()
    if len(parts) < 2 or not _KEY_TYPE.fullmatch(parts[0]):
        raise ValueError("it is not a public key: it has no type and key, as in a .pub file")
    try:
        content = base64.b64decode(parts[1], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("it is not a public key: what follows its type is not base64") from None
    length = int.from_bytes(content[:4], "big")
    if content[4 : 4 + length].decode(errors="replace") != parts[0] or len(content) <= 4 + length:
        raise ValueError(f"it is not a public key: its content is not of type {parts[0]}")
    return f"{parts[0]} {parts[1]}"


def _jumps(value: str) -> str:
    for each in value.split(",") if value else ():
        parsed = _JUMP.fullmatch(each.strip())
        if parsed is None or int(parsed["port"] or USUAL_PORT) not in range(1, MOST_PORT + 1):
            raise ValueError(f"{each.strip()!r} is not the way to a jump host")
    return value


def _tunnel(value: str) -> str:
    address, _, port = value.rpartition(":")
    if not address or not port.isdigit() or int(port) not in range(1, MOST_PORT + 1):
        raise ValueError("it is not an address and a port")
    return value


PublicKey = Annotated[str, pydantic.AfterValidator(_public_key)]
_KEY_REMEDY: Final = "'ssh-ed25519 AAAA...', as in the host's /etc/ssh/ssh_host_ed25519_key.pub"
_JUMP_REMEDY: Final = (
    "give jump the name of a listed host, or 'user@address:port'; several with commas in between, "
    "the nearest to the master first"
)
_USER_REMEDY: Final = "give user the name of an account on the host, such as 'ci'"
_DISABLED_REMEDY: Final = (
    "give disabled True, a reason, or {'reason': 'disk swap', 'until': '2030-01-31T14:00+01:00'}"
)


class Disabled(Fields):
    """Why the list takes a host out of service, and until when."""

    reason: str = "it is disabled in the list"
    until: float | None = None  # seconds since the epoch

    def at(self, now: float) -> str:
        """Return why the host is out of service; empty if its time is over."""
        if self.until is None:
            return self.reason
        if now >= self.until:
            return ""
        end = datetime.fromtimestamp(self.until, timezone.utc)
        return f"{self.reason}, until {end:%Y-%m-%d %H:%M} UTC"


def _disabled(value: object) -> object:
    if isinstance(value, Disabled) or value is None or value is False:
        return value or None
    if value is True:
        return Disabled()
    if isinstance(value, str) and value:
        return Disabled(reason=value)
    if isinstance(value, dict) and set(value) <= {"reason", "until"} and value:
        reason = value.get("reason", Disabled().reason)
        if not isinstance(reason, str):
            raise ValueError("its reason is not a text")
        return Disabled(reason=reason, until=_instant(value.get("until")))
    raise ValueError("it is neither True, a reason, nor a dictionary of reason and until")


def _instant(value: object) -> float | None:
    """Return a time with its zone as seconds since the epoch. YAML makes times of what looks so."""
    if value is None:
        return None
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", value.strip()))
        except ValueError:
            raise ValueError(f"until is {value!r}, which is no time as ISO 8601 has it") from None
    if not isinstance(moment, datetime):
        raise ValueError(f"until is {value!r}, which is no time as ISO 8601 has it")
    if moment.tzinfo is None:
        raise ValueError(f"until is {value!s}, without a time zone")
    return moment.timestamp()


# --- the fields --------------------------------------------------------------------------------


class HostFields(Fields):
    """The fields of a ``Host``, in master.cfg and in an inventory file."""

    name: Annotated[
        str,
        _checked(HOST_NAME, "a name has up to 64 letters, digits and any of '_ . -'"),
    ] = pydantic.Field(
        description="What the host is called: in its slot lock `host(NAME)`, its label `host`, "
        "events and pages. Pools and masters that list one machine call it the same.",
        json_schema_extra={"remedy": "give the host a name such as 'build1'"},
    )
    address: Annotated[str, _checked(_ADDRESS, "it is not a host name or an IP address alone")] = (
        pydantic.Field(
            description="Its host name or IP address.",
            json_schema_extra={"remedy": "give address a host name or an IP address: '10.0.0.5'"},
        )
    )
    port: int | None = pydantic.Field(
        default=None,
        ge=1,
        le=MOST_PORT,
        description="The port of its SSH server; that of the pool's `ssh` if not given.",
        json_schema_extra={"remedy": "give port a whole number from 1 to 65535"},
    )
    user: Annotated[str, _checked(_USER, "it is not the name of a user")] | None = pydantic.Field(
        default=None,
        description="Whom to log in as; the user of the pool's `ssh` if not given.",
        json_schema_extra={"values": "a text", "remedy": _USER_REMEDY},
    )
    labels: dict[LabelKey, LabelValue] = pydantic.Field(
        default_factory=dict,
        description="What it has to offer, besides the labels of the pool. The label `host` is "
        "added, with its name.",
        json_schema_extra={
            "values": "a dictionary of texts, whole numbers, True or False",
            "remedy": "give labels a dictionary such as {'os': 'debian'}",
        },
    )
    slots: int = pydantic.Field(
        default=1,
        ge=1,
        description="How many leases it carries at once.",
        json_schema_extra=unit("leases"),
    )
    host_key: PublicKey | None = pydantic.Field(
        default=None,
        description="Its public host key. With it, no other source of host keys is asked.",
        json_schema_extra={"values": "a text", "remedy": f"give host_key {_KEY_REMEDY}"},
    )
    jump: Annotated[str, pydantic.AfterValidator(_jumps)] | None = pydantic.Field(
        default=None,
        description="The hosts to go through; those of the pool's `ssh` if not given, none if "
        "empty.",
        json_schema_extra={"values": "a text", "remedy": _JUMP_REMEDY},
    )
    disabled: Annotated[Disabled | None, pydantic.BeforeValidator(_disabled)] = pydantic.Field(
        default=None,
        description="Takes it out of service: true, a reason, or a dictionary of `reason` and "
        "`until`, a time with its zone as ISO 8601 has it.",
        json_schema_extra={
            "values": "True, a text or a dictionary of reason and until",
            "remedy": _DISABLED_REMEDY,
        },
    )

    def conflicts(self) -> Iterator[Conflict]:
        yield from super().conflicts()
        if HOST_LABEL in self.labels:
            yield Conflict(
                ("labels",),
                f"it gives the label {HOST_LABEL!r}, which is the host's name anyway",
                f"remove {HOST_LABEL!r} from labels",
            )


class SSHFields(Fields):
    """The fields of ``SSH``."""

    user: Annotated[str, _checked(_USER, "it is not the name of a user")] | None = pydantic.Field(
        default=None,
        description="Whom to log in as, on hosts that don't say otherwise.",
        json_schema_extra={"values": "a text", "remedy": _USER_REMEDY},
    )
    port: int = pydantic.Field(
        default=USUAL_PORT,
        ge=1,
        le=MOST_PORT,
        description="The port of the SSH servers, on hosts that don't say otherwise.",
    )
    keys: Annotated[tuple[str, ...], pydantic.BeforeValidator(sequence)] = pydantic.Field(
        default=(),
        description="The files of private keys to log in with, tried in this order.",
        json_schema_extra={
            "values": "a list of paths",
            "remedy": "give keys a list of paths, such as ['~/.ssh/drydock']",
        },
    )
    agent: bool = pydantic.Field(
        default=True,
        description="Whether to try the keys of the agent at SSH_AUTH_SOCK after those.",
    )
    known_hosts: str | None = pydantic.Field(
        default=None,
        min_length=1,
        description="The file of host keys, in OpenSSH's format. A host key is always verified: "
        "by this, by a `host_key` of the host, or by `host_authority`.",
        json_schema_extra={
            "values": "a path",
            "remedy": "give known_hosts a path such as '~/.ssh/known_hosts'",
        },
    )
    host_authority: PublicKey | None = pydantic.Field(
        default=None,
        description="The public key of the authority that signs the hosts' certificates.",
        json_schema_extra={
            "values": "a text",
            "remedy": "give host_authority the line of its .pub file: 'ssh-ed25519 AAAA...'",
        },
    )
    jump: Annotated[str, pydantic.AfterValidator(_jumps)] | None = pydantic.Field(
        default=None,
        description="The hosts to go through, the nearest to the master first, with commas in "
        "between: each the name of a listed host, or `user@address:port`.",
        json_schema_extra={"values": "a text", "remedy": _JUMP_REMEDY},
    )
    tunnel_to: Annotated[str, pydantic.AfterValidator(_tunnel)] | None = pydantic.Field(
        default=None,
        description="For hosts that can't reach the master: the address and port of the master's "
        "worker protocol, as seen from the master. Workers reach it through the SSH connection.",
        json_schema_extra={
            "values": "a text",
            "remedy": "give tunnel_to an address and a port, such as 'localhost:9989'",
        },
    )
    connect_timeout: float = pydantic.Field(
        default=15.0,
        gt=0,
        description="How long a host may take to answer, and as long again to let us log in.",
        json_schema_extra=unit("seconds"),
    )
    keepalive_interval: float = pydantic.Field(
        default=5.0,
        gt=0,
        description="How often a silent host is asked whether it is still there.",
        json_schema_extra=unit("seconds"),
    )
    keepalive_count: int = pydantic.Field(
        default=3,
        ge=1,
        description="How many such questions may stay unanswered.",
    )
    most_channels: int = pydantic.Field(
        default=8,
        ge=1,
        description="How much is done on a host at once. MaxSessions in its sshd_config is 10 "
        "unless it says otherwise.",
    )

    def conflicts(self) -> Iterator[Conflict]:
        yield from super().conflicts()
        for path in self.keys:
            problem = key_problem(local_path(path))
            if problem is not None:
                yield Conflict(("keys",), f"{path}: {problem[0]}", problem[1])
        if self.known_hosts is not None:
            unreadable = _unreadable(local_path(self.known_hosts))
            if unreadable:
                yield Conflict(
                    ("known_hosts",),
                    f"{self.known_hosts}: {unreadable}",
                    "write the hosts' keys there, such as with ssh-keyscan, and compare them with "
                    "the hosts' own; or give each host its host_key",
                )
        if self.known_hosts is not None and self.host_authority is not None:
            yield Conflict(
                ("host_authority", "known_hosts"),
                "known_hosts is given, too, and only one of them is asked",
                "remove one; a known_hosts file names an authority by a line @cert-authority",
            )


def key_problem(path: Path) -> tuple[str, str] | None:
    """Return what is wrong with the file of a private key, and the remedy."""
    problem = _unreadable(path)
    if problem:
        return problem, "make a key there with ssh-keygen, or name the file of another"
    mode = path.stat().st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return "others than its owner may use it", f"run chmod 600 {path}"
    return None


def _unreadable(path: Path) -> str:
    try:
        with path.open("rb"):
            return ""
    except FileNotFoundError:
        return "there is no such file"
    except OSError as error:
        return f"it can't be read: {error.strerror}"


def parse_jump(text: str) -> tuple[str | None, str, int | None]:
    """Return user, address and port of one jump host; what is not given is ``None``."""
    parsed = _JUMP.fullmatch(text)
    assert parsed is not None, text
    port = parsed["port"]
    return parsed["user"], parsed["address"].strip("[]"), int(port) if port else None
