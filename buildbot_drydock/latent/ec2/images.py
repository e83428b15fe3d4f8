"""Which image is launched: found when it is needed, and remembered for some minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from buildbot_drydock.errors import Misconfigured
from buildbot_drydock.interfaces import Clock
from buildbot_drydock.latent.ec2.causes import CallFailed, Cause
from buildbot_drydock.latent.ec2.fields import ImageFields, SSMParameterFields
from buildbot_drydock.latent.ec2.requests import FoundImage

REMEMBERED_SECONDS: Final = 600.0


class Calls(Protocol):
    """The part of an ``Account`` that is needed in these modules."""

    async def call(
        self, operation: str, request: Mapping[str, Any], *, about: str = "", service: str = "ec2"
    ) -> dict[str, Any]: ...

    async def pages(
        self, operation: str, request: Mapping[str, Any], *, about: str = ""
    ) -> list[dict[str, Any]]: ...


class Images:
    """Finds the image of a pool."""

    def __init__(
        self, calls: Calls, source: ImageFields | SSMParameterFields | str | None, clock: Clock
    ) -> None:
        self._calls = calls
        self._source = source
        self._clock = clock
        self._found: FoundImage | None = None
        self._found_at = 0.0

    async def current(self) -> FoundImage | None:
        """Return the image, ``None`` if the launch template has it. Raises ``CallFailed``."""
        if self._source is None:
            return None
        if self._found is None or self._clock.seconds() >= self._found_at + REMEMBERED_SECONDS:
            self._found = await self._find(self._source)
            self._found_at = self._clock.seconds()
        return self._found

    def forget(self) -> None:
        """Look anew next time: the image is not there any more."""
        self._found = None

    async def _find(self, source: ImageFields | SSMParameterFields | str) -> FoundImage:
        match source:
            case ImageFields():
                return found_image(newest(await self._named(source), source))
            case SSMParameterFields():
                reply = await self._calls.call(
                    "GetParameter", {"Name": source.name}, about=source.name, service="ssm"
                )
                return await self._with_id(str(reply["Parameter"]["Value"]).strip())
            case _:
                return await self._with_id(source)

    async def _with_id(self, number: str) -> FoundImage:
        reply = await self._calls.call("DescribeImages", {"ImageIds": [number]}, about=number)
        if not reply.get("Images"):
            raise _nothing(f"there is no image {number} that this account may launch")
        return found_image(reply["Images"][0])

    async def _named(self, source: ImageFields) -> Sequence[Mapping[str, Any]]:
        filters = [
            {"Name": "name", "Values": [source.name]},
            {"Name": "state", "Values": ["available"]},
        ]
        if source.architecture is not None:
            filters.append({"Name": "architecture", "Values": [source.architecture]})
        request = {"Owners": [source.owner], "Filters": filters}
        reply = await self._calls.call("DescribeImages", request, about=source.name)
        images: Sequence[Mapping[str, Any]] = reply.get("Images", ())
        return images


def newest(images: Sequence[Mapping[str, Any]], source: ImageFields) -> Mapping[str, Any]:
    """Return the image that was made last; of those made at once, the first by id."""
    if not images:
        raise _nothing(f"no image of {source.owner} is named {source.name}")
    ordered = sorted(images, key=lambda image: str(image["ImageId"]))
    return max(ordered, key=lambda image: str(image.get("CreationDate", "")))


def found_image(described: Mapping[str, Any]) -> FoundImage:
    devices = [
        mapping["DeviceName"]
        for mapping in described.get("BlockDeviceMappings", ())
        if "Ebs" in mapping
    ]
    return FoundImage(
        id=described["ImageId"],
        root_device=described.get("RootDeviceName") or "",
        devices=tuple(devices),
        architecture=described.get("Architecture") or "",
    )


def _nothing(text: str) -> CallFailed:
    remedy = "give image one of this region that this account may launch"
    return CallFailed(Cause.WRONG, Misconfigured(f"{text}. Remedy: {remedy}"))
