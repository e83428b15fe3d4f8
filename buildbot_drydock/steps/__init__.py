"""Build steps that lease something for the build, use it, and give it back."""

from buildbot_drydock.steps.lease_resource import LeaseResource
from buildbot_drydock.steps.release_lease import ReleaseLease

__all__ = ["LeaseResource", "ReleaseLease"]
