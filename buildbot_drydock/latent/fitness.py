"""Whether workers can be started in a container or a pod: it runs, has our directory, and a Python.

Where an image has a Python with buildbot-worker, all its containers do: it is looked for in the first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from buildbot_drydock.errors import DrydockError, HostError, Misconfigured
from buildbot_drydock.interfaces import Host
from buildbot_drydock.latent.process import command, standby_command
from buildbot_drydock.model import Resource, ResourceStatus
from buildbot_drydock.remote.shell.host import ShellHost

FindInterpreter: TypeAlias = Callable[[Host], Awaitable[str]]

_REMEDY = "give the pool another image, or change this one"


@dataclass(slots=True)
class Fitness:
    """What is known of one container."""

    python: str = ""  # once it is fit
    failure: DrydockError | None = None  # why it will never be


class Interpreters:
    """The Pythons that images have, by their ids."""

    def __init__(self, find: FindInterpreter, directory: str) -> None:
        self._find = find
        self._directory = directory
        self._of_images: dict[str, str] = {}

    async def prepared(self, host: ShellHost, image: str) -> str:
        """Make our directory in a container; return the path of its Python.

        Raises ``Misconfigured`` for what no container of this image can have, and ``HostError`` for
        what may be better in the next one.
        """
        try:
            await host.make_directory()
            return self._known(image) or await self._found(host, image)
        except HostError as error:
            raise _judged(error) from error

    async def prestarted(self, host: ShellHost, image: str) -> str:
        """Likewise, and have a Python stand by there to be a worker: one command, once it is known."""
        python = self._known(image) or await self.prepared(host, image)
        try:
            await prestart(host, python)
        except HostError as error:
            raise _judged(error) from error
        return python

    def _known(self, image: str) -> str:
        return self._of_images.get(image, "") if image else ""

    async def _found(self, host: ShellHost, image: str) -> str:
        python = await self._find(host)
        if image and f"/{self._directory}/" not in python:
            self._of_images[image] = python  # it is of the image, and was not made just now
        return python


async def prestart(host: ShellHost, python: str) -> None:
    """Have a Python stand by in a container, to be the worker of its next lease."""
    await host.stand_by(standby_command(python), instead_of=command(python))


def prestarts_again(resource: Resource, most_uses: int | None) -> bool:
    """Tell whether a Python is to stand by for the next lease of a container, after *most_uses* at most."""
    return (
        bool(resource.data.get("python"))
        and resource.status is ResourceStatus.ACTIVE
        and (most_uses is None or resource.uses < most_uses)
    )


def _judged(error: HostError) -> DrydockError:
    """Tell what is wrong with the image from what befell one container."""
    if type(error) is not HostError or str(error).startswith("making the environment"):
        return error
    return Misconfigured(f"{error}. Remedy: {_REMEDY}")
