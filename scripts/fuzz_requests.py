"""Odd requests for Drydock's part of the data API, made from ``application.spec``.

Half of what is made is nearly right, so that it gets past the first check; the rest is not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import quote

OPERATORS = ("eq", "ne", "lt", "le", "gt", "ge", "contains", "in", "notin", "foo", "")
ACTIONS = {
    "drydock_leases": ("request",),
    "drydock_leases/": ("release", "renew"),
    "drydock_resources/": ("reclaim",),
    "drydock_blueprints/": ("pause", "resume", "drain", "disable", "edit"),
    "drydock_ledger/": ("destroy", "adopt"),
    "drydock_hosts/": ("disable", "enable"),
    "drydock_authorizations": ("approve", "decline"),
    "drydock_authorizations/": ("approve", "decline"),
}
ALL_ACTIONS = (
    *(name for names in ACTIONS.values() for name in names),
    *("approve", "decline", "", "get", "GET", "force", "__class__", "\ud800", "Release"),
)
ARGUMENTS = (
    *("reason", "until", "at_once", "break_leases", "seconds", "type", "requires", "blueprints"),
    *(
        "blueprint",
        "subject",
        "priority",
        "attributes",
        "owner",
        "actor",
        "status",
        "values",
        "reset",
        "",
        "__init__",
        "self",
        "nonce",
    ),
)
FIELDS = ("limit", "idle_timeout", "max_uses", "max_age", "max_hourly_cost", "failure_budget")
TEXTS = (
    *("", "linux", "gpu", "host", "pending", "active", "x" * 300, "x" * 2000, "\0", "a\0b"),
    *("\ud800", "ü", "🚢", "%", "_", "'", '"', "\\", "' OR 1=1 --", "../..", "{leaseid}", "%s"),
    *("true", "null", "NaN", "None", "-", "--", "*", "a.b", "\n", "\r\nX: y", "<script>"),
)
NUMBERS = (
    *(0, 1, 2, 3, 5, -1, 100, 1000, 1001, 10_000, 10_001, 2**31 - 1, 2**31, -(2**31), 2**63),
    *(10**25, -(10**25), 10**400, 0.5, -0.5, 1e-300, 1e300, 1e11, 1e12, 2e9),
)


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str  # below api/v2/, with what has to be quoted
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Requests:
    """*spec* is what ``application.spec`` lists; *random* decides everything else."""

    def __init__(self, spec: Sequence[Mapping[str, Any]], random: Random) -> None:
        self.random = random
        self.paths: dict[str, list[str]] = {
            each["path"]: [f["name"] for f in each["type_spec"]["fields"]]
            for each in spec
            if "drydock" in each["path"]
        }
        assert len(self.paths) > 10, "the specification lists our paths"

    def read(self) -> Request:
        pattern = self.random.choice(sorted(self.paths))
        arguments = [self._argument(self.paths[pattern]) for _ in range(self.random.randrange(4))]
        query = "?" + "&".join(arguments) if arguments else ""
        method = self.random.choices(("GET", "HEAD", "PUT", "DELETE", "OPTIONS"), (40, 2, 1, 1, 1))
        return Request(method[0], self._path(pattern) + query)

    def act(self) -> Request:
        pattern = self.random.choice(sorted(self.paths))
        if self.random.random() < 0.7:
            pattern = self.random.choice([each for each in sorted(self.paths) if self._acts(each)])
        headers = {"Content-Type": "application/json"}
        if self.random.random() < 0.03:
            headers = {"Content-Type": self.random.choice(("text/plain", "", "application/jsonx"))}
        return Request("POST", self._path(pattern), self._body(pattern), headers)

    def any(self) -> Request:
        return self.read() if self.random.random() < 0.5 else self.act()

    # --- paths -------------------------------------------------------------------------------

    def _acts(self, pattern: str) -> bool:
        return pattern in ACTIONS or self._actions(pattern) != ALL_ACTIONS

    def _actions(self, pattern: str) -> tuple[str, ...]:
        if pattern in ACTIONS:
            return ACTIONS[pattern]
        start, _, rest = pattern.partition("/")
        return ALL_ACTIONS if "/" in rest else ACTIONS.get(f"{start}/", ALL_ACTIONS)

    def _path(self, pattern: str) -> str:
        return "/".join(self._part(part) for part in pattern.split("/"))

    def _part(self, part: str) -> str:
        kind, colon, _ = part.partition(":")
        if not colon:
            return part
        if kind == "n" and self.random.random() < 0.9:
            return str(self.random.choice([*range(1, 12), *(n for n in NUMBERS if n == int(n))]))
        known = ("linux", "gpu", "build1", "build1.example.org", "linux-001")
        return self._quoted(self.random.choice(known if self.random.random() < 0.8 else TEXTS))

    def _quoted(self, text: str) -> str:
        return quote(text.encode("utf-8", "replace"), safe="")

    # --- queries -----------------------------------------------------------------------------

    def _argument(self, fields: Sequence[str]) -> str:
        name = self.random.choice(fields)
        match self.random.randrange(10):
            case 0 | 1:
                name = self.random.choice(("limit", "offset"))
            case 2 | 3:
                sign = self.random.choice(("", "-", "--"))
                known = self.random.choice((name, f"{sign}{name}", self._text()))
                return f"{self.random.choice(('order', 'field'))}={self._quoted(known)}"
            case 4 | 5 | 6:
                name = f"{name}__{self.random.choice(OPERATORS)}"
            case 7:
                name = self._quoted(self._text())
        value = self.random.choice((self._text, self._number, self._odd_bytes))()
        return f"{name}={value if value.startswith('%') else self._quoted(value)}"

    def _text(self) -> str:
        return self.random.choice(TEXTS)

    def _number(self) -> str:
        return str(self.random.choice(NUMBERS))

    def _odd_bytes(self) -> str:
        return self.random.choice(("%ff", "%c3%28", "%00", "%ed%a0%80", "%"))

    # --- bodies ------------------------------------------------------------------------------

    def _body(self, pattern: str) -> bytes:
        if self.random.random() < 0.05:
            return self.random.choice(
                (
                    b"",
                    b"[]",
                    b"null",
                    b"{",
                    b"\xff\xfe",
                    b'{"jsonrpc": 2}',
                    b"[" * 3000,
                    b"1" * 5000,
                )
            )
        actions = self._actions(pattern) if self.random.random() < 0.8 else ALL_ACTIONS
        call: dict[str, Any] = {
            "jsonrpc": "2.0",
            "id": self.random.choice((1, None, "x", "\ud800")),
            "method": self.random.choice(actions),
            "params": self._params(),
        }
        if self.random.random() < 0.05:
            call[self.random.choice(sorted(call))] = self._value(2)
        return json.dumps(call).encode()

    def _params(self) -> dict[str, Any]:
        if self.random.random() < 0.4:
            return self.random.choice(
                (
                    {},
                    {"reason": "a test"},
                    {"blueprints": ["linux"], "seconds": 600},
                    {"requires": {"os": "debian"}},
                    {"requires": {"os": "never"}},
                    {"break_leases": True},
                    {"seconds": 0.5},
                    {"until": 4e9},
                    {"blueprint": "gpu", "subject": "person/other", "reason": "a test"},
                    {"blueprint": "gpu", "subject": "builder/tests"},
                    {"blueprint": "linux", "subject": "person/other"},
                    {"values": {"limit": 5, "max_uses": None}},
                    {"values": {"idle_timeout": 10**400, "labels": {}, "\ud800": 1}},
                    {"values": {self.random.choice(FIELDS): self.random.choice(NUMBERS)}},
                    {"reset": ["limit", "max_uses"]},
                )
            )
        names = self.random.sample(ARGUMENTS, self.random.randrange(4))
        return {name: self._value(2) for name in names}

    def _value(self, depth: int) -> Any:
        match self.random.randrange(7 if depth else 4):
            case 0:
                return self._text()
            case 1:
                return self.random.choice(NUMBERS)
            case 2:
                return self.random.choice((True, False, None, float("nan"), float("inf")))
            case 3:
                return self.random.choice((["linux"], {"os": "debian"}, 1, "later"))
            case 4 | 5:
                return [self._value(depth - 1) for _ in range(self.random.randrange(3))]
        return {self._text(): self._value(depth - 1) for _ in range(self.random.randrange(3))}
