"""How one container is made for one token, however often that is asked for.

Its name is the token: an engine gives a name once. What may have been made on an engine that does not
answer any more is asked of another one all the same; of two containers with one token one is destroyed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from buildbot_drydock.errors import Misconfigured, NoCapacity, RetryLater
from buildbot_drydock.latent.docker import requests
from buildbot_drydock.latent.docker.failures import CallFailed, Cause, taken
from buildbot_drydock.latent.docker.fields import DockerPoolFields
from buildbot_drydock.latent.docker.images import Images, is_missing
from buildbot_drydock.latent.docker.requests import Order

if TYPE_CHECKING:
    from buildbot_drydock.latent.docker.engine import Engine

_ELSEWHERE = (Cause.UNREACHABLE, Cause.BARRED, Cause.FULL)


class Launcher:
    """Makes containers and starts them. Raises ``CallFailed``."""

    def __init__(self, engines: Sequence[Engine], fields: DockerPoolFields) -> None:
        self._fields = fields
        self._images = {each.url: Images(each, fields.image, fields.pull) for each in engines}

    def is_pulling(self, engine: Engine) -> bool:
        return self._images[engine.url].is_pulling

    async def launch(
        self, order: Order, engines: Sequence[Engine], chosen: Callable[[Engine], None]
    ) -> tuple[Engine, str]:
        """Have a container run on the first engine that can. Returns the engine and the id.

        *chosen* hears of each engine before it is tried.
        """
        failures: list[CallFailed] = []
        for engine in engines:
            chosen(engine)
            try:
                return engine, await self.launch_on(engine, order)
            except CallFailed as failed:
                if failed.cause not in _ELSEWHERE:
                    raise
                failures.append(failed)
        raise nowhere(failures)

    async def launch_on(self, engine: Engine, order: Order) -> str:
        number, is_new = await self._made(engine, order)
        try:
            if is_new:
                await self._connect(engine, number)
            await self.start(engine, number)
        except CallFailed as failed:
            if failed.cause is Cause.FULL:
                with suppress(CallFailed):
                    await remove(engine, number)
            raise
        return number

    async def start(self, engine: Engine, number: str) -> None:
        """Start a container; nothing if it runs."""
        await engine.call(f"start container {number[:12]}", lambda client: client.start(number))

    async def _made(self, engine: Engine, order: Order) -> tuple[str, bool]:
        """Return the id of the order's container, and whether it was made just now."""
        images = self._images[engine.url]
        await images.before_each()
        try:
            return await self._create(engine, order)
        except CallFailed as failed:
            if not is_missing(failed):
                raise
        await images.after_missing()
        return await self._create(engine, order)

    async def _create(self, engine: Engine, order: Order) -> tuple[str, bool]:
        body = requests.container(self._fields, order)
        doing = f"make a container of {self._fields.image} for {order.token}"
        try:
            made: Any = await engine.call(
                doing, lambda client: client.create_container_from_config(body, order.token)
            )
        except CallFailed as failed:
            if failed.cause is not Cause.TAKEN:
                raise
            return await self._ours(engine, order), False
        return str(made["Id"]), True

    async def _ours(self, engine: Engine, order: Order) -> str:
        """Return the id of the container that has our name, if it is ours."""
        found: Any = await engine.call(
            f"look at container {order.token}", lambda client: client.inspect_container(order.token)
        )
        if not requests.is_ours(found["Config"].get("Labels") or {}, order):
            raise taken(engine.url, order.token)
        return str(found["Id"])

    async def _connect(self, engine: Engine, number: str) -> None:
        for network in requests.other_networks(self._fields):
            await engine.call(
                f"connect container {number[:12]} to network {network}",
                partial(_connect, number, network),
            )


def _connect(number: str, network: str, client: Any) -> None:
    client.connect_container_to_network(number, network)


async def remove(engine: Engine, number: str) -> None:
    """Remove a container with its unnamed volumes, whatever runs in it; nothing if it is gone."""
    try:
        await engine.call(
            f"remove container {number[:12]}",
            lambda client: client.remove_container(number, force=True, v=True),
        )
    except CallFailed as failed:
        if failed.cause not in (Cause.ABSENT, Cause.LEAVING):
            raise


def nowhere(failures: Sequence[CallFailed]) -> CallFailed:
    """Return what it means that no engine could be used: the best that can be hoped for."""
    text = "; ".join(str(each) for each in failures)
    if not failures or any(each.cause is Cause.FULL for each in failures):
        text = text or "all engines have as many containers as they may"
        return CallFailed(Cause.FULL, NoCapacity(text))
    if all(each.cause is Cause.BARRED for each in failures):
        return CallFailed(Cause.BARRED, Misconfigured(text))
    return CallFailed(Cause.UNREACHABLE, RetryLater(text))
