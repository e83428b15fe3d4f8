"""The listing of who may use which blueprint."""

from __future__ import annotations

from typing import Final

from buildbot_drydock.model import AuthorizationStatus
from buildbot_drydock.queries import Kind
from buildbot_drydock.store.listings import Field, Listing
from buildbot_drydock.store.schema import authorizations

AUTHORIZATIONS: Final = Listing(
    table=authorizations,
    key="authorizationid",
    fields={
        "authorizationid": Field("id", Kind.INTEGER),
        "blueprint": Field("blueprint", Kind.TEXT),
        "subject": Field("subject", Kind.TEXT),
        "status": Field("status", Kind.TEXT),
        "version": Field("version", Kind.INTEGER),
        "requested_at": Field("requested_at", Kind.NUMBER),
        "leaseid": Field("lease", Kind.INTEGER),
        "author": Field("author", Kind.TEXT),
        "decided_at": Field("decided_at", Kind.NUMBER),
        "reason": Field("reason", Kind.TEXT),
    },
    indices={"authorizationid": ("blueprint", "status")},
    values={"status": tuple(status.value for status in AuthorizationStatus)},
)
