"""What the server remembers: instances, Spot requests, launches and fleets."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

STATE_CODES = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}

LIVING = frozenset({"pending", "running", "stopping", "stopped"})


@dataclass
class ScheduledEvent:
    """What EC2 is going to do to an instance. Times are in seconds of the server's clock."""

    id: str
    code: str
    description: str
    not_before: float
    not_after: float | None = None
    deadline: float | None = None

    @property
    def over(self) -> bool:
        """Whether it is done or called off; it is described for a week after that."""
        return self.description.startswith("[")

    def end(self, how: str) -> None:
        """Mark it as over, as EC2 does in the description."""
        self.description = f"[{how}] {self.description}"


@dataclass
class Instance:
    """One instance from its launch on, kept for ever.

    `request` is what it was launched from, in the words of the RunInstances API, with what a launch
    template and a fleet's override gave; `sent` is the parameters of the call as the client sent
    them. `origin_token` is the ClientToken of that call, also where EC2 itself shows another one
    (instances of a fleet). Times are in seconds of the server's clock. Hooks may set `private_ip`
    and `public_ip`.
    """

    id: str
    number: int
    reservation_id: str
    moto: Any
    request: dict[str, Any]
    sent: dict[str, Any]
    instance_type: str
    zone: str
    market: str
    launched_at: float
    private_ip: str | None
    public_ip: str | None
    client_token: str
    origin_token: str
    launch_index: int = 0
    fleet_id: str | None = None
    spot_request_id: str | None = None
    state: str = "pending"
    history: list[tuple[float, str]] = field(default_factory=list)
    reason_code: str = ""
    reason_message: str = ""
    transition_reason: str = ""
    visible_at: float = 0.0
    hidden_calls: int = 0
    tags_visible_at: float = 0.0
    status_ok_at: float = 0.0
    impaired: bool = False
    forgotten: bool = False
    interruption_at: float | None = None
    rebalance_recommended: bool = False
    console_output: str | None = None
    hourly_price: float = 0.0
    volumes: list[str] = field(default_factory=list)
    events: list[ScheduledEvent] = field(default_factory=list)

    @property
    def living(self) -> bool:
        """Whether it costs money: neither ended nor ending."""
        return self.state in LIVING

    @property
    def tags(self) -> dict[str, str]:
        """Its tags now, whether listings show them already or not."""
        return dict(self.moto.ec2_backend.tags.get(self.id, {}))

    @property
    def user_data(self) -> str:
        """The user data as text; empty if it has none."""
        encoded = self.request.get("UserData")
        return base64.b64decode(encoded).decode() if encoded else ""

    @property
    def protected(self) -> bool:
        """Whether TerminateInstances refuses it (DisableApiTermination)."""
        return bool(self.moto.disable_api_termination)

    def enter(self, state: str, now: float) -> None:
        """Be in another state from now on."""
        self.state = state
        self.history.append((now, state))
        self.moto._state.name = state
        self.moto._state.code = STATE_CODES[state]


@dataclass
class SpotRequest:
    """A Spot request; `request` is what it launches, without tags."""

    id: str
    kind: str
    created_at: float
    request: dict[str, Any]
    zone: str
    max_price: str
    interruption_behavior: str
    tags: dict[str, str]
    instance_id: str | None = None
    fleet_id: str | None = None
    state: str = "active"
    status: str = "fulfilled"
    changed_at: float = 0.0


@dataclass
class Launch:
    """One successful call that asked for instances."""

    action: str
    token: str
    asked: int
    at: float
    instance_ids: list[str]
    fleet_id: str | None = None


@dataclass
class Fleet:
    """A fleet of type instant, as CreateFleet answered."""

    id: str
    created_at: float
    sent: dict[str, Any]
    client_token: str
    answer: dict[str, Any]
    tags: dict[str, str]
    state: str = "active"
