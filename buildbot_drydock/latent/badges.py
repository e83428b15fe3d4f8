"""Links from where people look in Buildbot to the lease and the resource that a build runs on."""

from __future__ import annotations

from typing import Any, Final

from buildbot_drydock import buildbot_hooks as hooks
from buildbot_drydock.latent.tenancy import Tenancy

# Properties of builds.
LEASE: Final = "drydock_lease"
RESOURCE: Final = "drydock_resource"
BLUEPRINT: Final = "drydock_blueprint"
NOTICE: Final = "drydock_notice"  # the host is to end
SOURCE: Final = "Drydock"


def lease_url(master: Any, number: int) -> str:
    """Return the address of a lease's web page."""
    return f"{master.config.buildbotURL}#/drydock/leases/{number}"


def resource_url(master: Any, number: int) -> str:
    """Return the address of a resource's web page."""
    return f"{master.config.buildbotURL}#/drydock/resources/{number}"


async def mark(build: Any, master: Any, tenancy: Tenancy) -> None:
    """Tell a build, whose worker is there, what it runs on."""
    build.setProperty(LEASE, tenancy.lease.id, SOURCE)
    build.setProperty(RESOURCE, tenancy.resource.id, SOURCE)
    build.setProperty(BLUEPRINT, tenancy.resource.blueprint, SOURCE)
    await hooks.link_build(
        build,
        {
            f"lease {tenancy.lease.id}": lease_url(master, tenancy.lease.id),
            f"resource {tenancy.resource.id}": resource_url(master, tenancy.resource.id),
        },
    )
