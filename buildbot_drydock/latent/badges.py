"""Links from where people look in Buildbot to the lease and the resource that a build runs on."""

from __future__ import annotations

from typing import Any, Final

from buildbot_drydock import buildbot_hooks as hooks
from buildbot_drydock.latent.tenancy import Tenancy

# Properties of builds.
LEASE: Final = "drydock_lease"
RESOURCE: Final = "drydock_resource"
BLUEPRINT: Final = "drydock_blueprint"
_SOURCE: Final = "Drydock"


def lease_url(master: Any, tenancy: Tenancy) -> str:
    """Return the address of the lease's web page."""
    return f"{master.config.buildbotURL}#/drydock/leases/{tenancy.lease.id}"


def resource_url(master: Any, tenancy: Tenancy) -> str:
    """Return the address of the resource's web page."""
    return f"{master.config.buildbotURL}#/drydock/resources/{tenancy.resource.id}"


async def mark(build: Any, master: Any, tenancy: Tenancy) -> None:
    """Tell a build, whose worker is there, what it runs on."""
    build.setProperty(LEASE, tenancy.lease.id, _SOURCE)
    build.setProperty(RESOURCE, tenancy.resource.id, _SOURCE)
    build.setProperty(BLUEPRINT, tenancy.resource.blueprint, _SOURCE)
    await hooks.link_build(
        build,
        {
            f"lease {tenancy.lease.id}": lease_url(master, tenancy),
            f"resource {tenancy.resource.id}": resource_url(master, tenancy),
        },
    )
