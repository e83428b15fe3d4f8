"""What one machine is wished to be used for, what its marker says, and what is shown of both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from buildbot_drydock.latent.health import Gravity, Standing
from buildbot_drydock.latent.premises import Look, Marker
from buildbot_drydock.latent.vitals import Vitals
from buildbot_drydock.model import Health, Observed


class Progress(Enum):
    COMING = "coming"  # to be taken into use
    TAKEN = "taken"
    LEAVING = "leaving"  # to be cleaned up


@dataclass(slots=True)
class Claim:
    """What is wished of the machine for one resource."""

    token: str
    since: float
    progress: Progress
    failure: str = ""  # why the resource is lost for good
    start: str = ""  # which start of the machine by its provider it is of, where that is told

    def follows(self, marker: Marker) -> bool:
        """Tell whether its provider has started the machine again since the marker was written."""
        known = bool(self.start and marker.start)
        return known and self.start != marker.start and self.progress is Progress.COMING


class Claims:
    """The claims on one machine, held against what was last seen there."""

    def __init__(
        self, name: str, address: str, *, installation: str, boot_timeout: float, vitals: Vitals
    ) -> None:
        self._name = name
        self._address = address
        self._installation = installation
        self._boot_timeout = boot_timeout
        self._vitals = vitals
        self._by_token: dict[str, Claim] = {}
        self.look: Look | None = None  # the last

    def __bool__(self) -> bool:
        return bool(self._by_token)

    def __iter__(self) -> Iterator[Claim]:
        return iter(self._by_token.values())

    def __contains__(self, token: str) -> bool:
        return token in self._by_token

    def add(self, token: str, now: float, progress: Progress, start: str = "") -> Claim:
        """Return the claim for a resource, which is made if there is none."""
        return self._by_token.setdefault(token, Claim(token, now, progress, start=start))

    def drop(self, claim: Claim) -> None:
        """Forget a claim, and its marker with it."""
        del self._by_token[claim.token]
        marker = self.look.marker if self.look is not None else None
        if self.look is not None and marker is not None and marker.token == claim.token:
            self.look = self.look.marked(None)

    @property
    def marker(self) -> Marker | None:
        """The marker last seen, if it is of this installation."""
        marker = self.look.marker if self.look is not None else None
        ours = marker is not None and marker.installation == self._installation
        return marker if ours else None

    def next_deadline(self) -> Iterator[float]:
        """Yield when what is coming will have taken too long."""
        for claim in self:
            if claim.progress is Progress.COMING:
                yield claim.since + self._boot_timeout

    def compare(self, seen: Look) -> None:
        """Hold all claims against the marker on the machine."""
        for claim in self:
            self._compare(claim, seen)

    def _compare(self, claim: Claim, seen: Look) -> None:
        marker = seen.marker
        is_its_own = marker is not None and marker.token == claim.token
        if claim.progress is Progress.TAKEN and not is_its_own:
            claim.failure = "its marker is gone; was it reinstalled?"
            if marker is not None:
                claim.failure = f"it was taken into use for {marker.token}"
        elif claim.progress is not Progress.LEAVING and is_its_own:
            assert marker is not None
            if seen.is_other_boot(marker):
                claim.failure = "" if claim.follows(marker) else "it was restarted"
            elif marker.ready:
                claim.progress = Progress.TAKEN
                claim.since = marker.since

    # --- what is shown -----------------------------------------------------------------------

    def listing(self, now: float, doing: str) -> list[Observed]:
        """Return what is on the machine. *doing* is what its keeper does."""
        found = [self._observed(claim, now, doing) for claim in self]
        marker = self.marker
        if marker is not None and marker.token not in self:
            found.append(self._observed_by_marker(marker))
        return found

    def _observed(self, claim: Claim, now: float, doing: str) -> Observed:
        status, reason = self._health_of(claim, now, doing)
        return self._told(claim.token, status, reason, claim.since)

    def _health_of(self, claim: Claim, now: float, doing: str) -> tuple[Health, str]:
        trouble = self._vitals.trouble
        why = f"host {self._name} {trouble.sentence()}" if trouble is not None else ""
        if claim.progress is Progress.LEAVING:
            return Health.FAILING, "; ".join(["it is being cleaned up", *filter(None, [why])])
        if claim.failure:
            return Health.FAILING, f"host {self._name}: {claim.failure}"
        standing = self._vitals.standing
        if standing is Standing.BROKEN:
            return Health.FAILING, why
        if claim.progress is Progress.TAKEN:
            return Health.READY, ""
        if trouble is not None and trouble.gravity is Gravity.UNFIT:
            return Health.FAILING, why
        if now >= claim.since + self._boot_timeout:
            return (
                Health.FAILING,
                f"host {self._name}: {doing} took more than {self._boot_timeout:.0f} s",
            )
        return Health.STARTING, f"host {self._name}: {doing}"

    def _observed_by_marker(self, marker: Marker) -> Observed:
        status = Health.READY if marker.ready else Health.STARTING
        reason = ""
        if self.look is not None and self.look.is_other_boot(marker):
            status, reason = Health.FAILING, f"host {self._name}: it was restarted"
        elif self._vitals.standing is Standing.BROKEN:
            status, reason = Health.FAILING, f"host {self._name}: {self._vitals.unavailable}"
        return self._told(marker.token, status, reason, marker.since)

    def _told(self, token: str, status: Health, reason: str, since: float) -> Observed:
        marker = self.marker
        data = {}
        if marker is not None and marker.token == token and marker.ready:
            data["python"] = marker.python
            if marker.port:
                data.update(master_address="localhost", master_port=str(marker.port))
        return Observed(
            token=token,
            health=status,
            created_at=since,
            address=self._address,
            reason=reason,
            data=data,
        )
