"""The launch templates that fleets launch from: made for a host, and deleted soon after.

They cost nothing, and an account may have thousands in a region. One whose deletion fails, or whose
master died, is found by its tags an hour later, by any master of the pool.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from twisted.logger import Logger

from buildbot_drydock.interfaces import Clock
from buildbot_drydock.latent.ec2.causes import CallFailed, Cause
from buildbot_drydock.latent.ec2.images import REMEMBERED_SECONDS, Calls
from buildbot_drydock.latent.ec2.requests import Pool

# Another master may be about to launch the same host from it.
KEPT_SECONDS: Final = 300.0
SWEEP_SECONDS: Final = 3600.0  # between two sweeps, and how old is what they take
_MOST_AT_ONCE: Final = 20  # deletions with one listing, so that it is not held up for long
_PAGE_SIZE: Final = 200  # the most that DescribeLaunchTemplates takes
ALREADY_THERE: Final = "InvalidLaunchTemplateName.AlreadyExistsException"
ABSENT: Final = (
    *("InvalidLaunchTemplateName.NotFoundException", "InvalidLaunchTemplateId.NotFound"),
    "InvalidLaunchTemplateName.NotFound",
)


class LaunchTemplates:
    """Makes and deletes the launch templates of one pool, and reads the one of the user's."""

    log = Logger()

    def __init__(
        self, calls: Calls, pool: Pool, source: Mapping[str, str] | None, clock: Clock
    ) -> None:
        """*source* is the specification of the user's template, if there is one."""
        self._calls = calls
        self._pool = pool
        self._source = source
        self._clock = clock
        self._base: Mapping[str, Any] = {}
        self._read_at = float("-inf")
        self._made: dict[str, float] = {}  # by name, when each was last needed
        self._doomed: set[str] = set()  # names of old ones, nobody knows whose
        self._swept_at = float("-inf")

    async def base(self) -> Mapping[str, Any]:
        """Return what the user's template says; nothing if there is none. Raises ``CallFailed``."""
        now = self._clock.seconds()
        if self._source is not None and now >= self._read_at + REMEMBERED_SECONDS:
            source = dict(self._source)
            request = {"Versions": [source.pop("Version")], **source}
            reply = await self._calls.call("DescribeLaunchTemplateVersions", request)
            self._base = reply["LaunchTemplateVersions"][0]["LaunchTemplateData"]
            self._read_at = now
        return self._base

    async def make(self, request: Mapping[str, Any]) -> None:
        """Make a template, unless it is there. Raises ``CallFailed``."""
        name = request["LaunchTemplateName"]
        if name not in self._made:
            try:
                await self._calls.call("CreateLaunchTemplate", request)
            except CallFailed as failed:
                if failed.code != ALREADY_THERE:
                    raise
        self._made[name] = self._clock.seconds()

    def missed(self, name: str) -> None:
        """Somebody has deleted it, or EC2 does not show it yet."""
        self._made.pop(name, None)

    async def tidy(self) -> None:
        """Delete what is needed no more. What fails is tried again with the next listing."""
        now = self._clock.seconds()
        try:
            if now >= self._swept_at + SWEEP_SECONDS:
                await self._look_for_old_ones(now)
                self._swept_at = now
            over = [name for name, needed in self._made.items() if now >= needed + KEPT_SECONDS]
            for name in [*over, *self._doomed][:_MOST_AT_ONCE]:
                await self._delete(name)
        except CallFailed as failed:
            self.log.debug("launch templates are left for later: {failed}", failed=failed)

    async def _look_for_old_ones(self, now: float) -> None:
        request = {"Filters": self._pool.filters(), "MaxResults": _PAGE_SIZE}
        for page in await self._calls.pages("DescribeLaunchTemplates", request):
            for each in page.get("LaunchTemplates", ()):
                name = each["LaunchTemplateName"]
                if name not in self._made and now >= each["CreateTime"].timestamp() + SWEEP_SECONDS:
                    self._doomed.add(name)

    async def _delete(self, name: str) -> None:
        try:
            await self._calls.call("DeleteLaunchTemplate", {"LaunchTemplateName": name})
        except CallFailed as failed:
            if failed.code not in ABSENT and failed.cause is not Cause.WRONG:
                raise
            if failed.code not in ABSENT:
                self.log.warn("launch template {name} is left: {failed}", name=name, failed=failed)
        self._made.pop(name, None)
        self._doomed.discard(name)
