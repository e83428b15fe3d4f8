"""What an engine is asked for to make a container. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from buildbot_drydock.latent.docker.fields import DockerPoolFields, labels_of

# A shell that waits, and ends at once when it is asked to.
_WAITING: Final = (
    "/bin/sh",
    "-c",
    "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done",
)
_NANO: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which container is wanted."""

    installation: str
    blueprint: str
    token: str
    place: int  # in the blueprint's limit


def container(fields: DockerPoolFields, order: Order) -> dict[str, Any]:
    """Return the body of "Create a container" (Docker Engine API 1.41)."""
    labels = {
        **fields.container_labels,
        **labels_of(order.installation, order.blueprint, order.token),
    }
    body: dict[str, Any] = {
        "Image": fields.image,
        "Labels": labels,
        "Env": [f"{name}={value}" for name, value in sorted(fields.env.items())],
        "HostConfig": _host_config(fields, order),
    }
    if fields.command:
        body["Cmd"] = list(fields.command)
    else:
        body["Entrypoint"], body["Cmd"] = list(_WAITING), []
    if fields.user is not None:
        body["User"] = fields.user
    return body


def _host_config(fields: DockerPoolFields, order: Order) -> dict[str, Any]:
    config: dict[str, Any] = {
        "Init": fields.init,
        "Binds": [*fields.volumes, *_caches(fields, order)],
        "Tmpfs": dict(fields.tmpfs),
        "ReadonlyRootfs": fields.read_only,
        "SecurityOpt": ["no-new-privileges"] if fields.no_new_privileges else [],
        "CapDrop": list(fields.cap_drop),
        "CapAdd": list(fields.cap_add),
        "ExtraHosts": [f"{name}:{address}" for name, address in sorted(fields.extra_hosts.items())],
        "RestartPolicy": {"Name": ""},  # what has ended is replaced, not started again
    }
    optional = {
        "NetworkMode": fields.networks[0] if fields.networks else None,
        "Memory": fields.memory,
        "NanoCpus": None if fields.cpus is None else round(fields.cpus * _NANO),
        "PidsLimit": fields.pids,
        "ShmSize": fields.shm,
        "Runtime": fields.runtime,
    }
    return {**config, **{key: value for key, value in optional.items() if value is not None}}


def _caches(fields: DockerPoolFields, order: Order) -> list[str]:
    return [
        f"{cache_volume(order, path, per)}:{path}" for path, per in sorted(fields.caches.items())
    ]


def cache_volume(order: Order, path: str, per: str) -> str:
    """Return the name of the volume that a directory is kept in. The engine makes it if need be."""
    whose = "all" if per == "blueprint" else str(order.place)
    digest = hashlib.sha256(path.encode()).hexdigest()[:8]
    return f"drydock-{order.installation[:16]}-{order.blueprint}-{whose}-{digest}"


def other_networks(fields: DockerPoolFields) -> tuple[str, ...]:
    """Return the networks that a container is connected to before it is started."""
    return fields.networks[1:]


def is_ours(found: Mapping[str, str], order: Order) -> bool:
    """Tell whether the labels of a container are those of an order."""
    wanted = labels_of(order.installation, order.blueprint, order.token)
    return all(found.get(key) == value for key, value in wanted.items())
