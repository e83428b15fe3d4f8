"""How what is written in master.cfg becomes the fields of ``EC2Pool``: values, ids, lists."""

from __future__ import annotations

import re
from typing import Annotated, Any

import pydantic

from buildbot_drydock.latent.ec2.fields import (
    AMI,
    Image,
    ImageFields,
    SSMParameter,
    SSMParameterFields,
    Volume,
    VolumeFields,
)
from buildbot_drydock.latent.written import made, sequence


def as_volumes(value: object) -> object:
    """Make fields of each ``Volume`` in a list."""
    make = made(Volume, VolumeFields)
    return tuple(map(make, value)) if isinstance(value, list | tuple) else value


def as_image(value: object) -> object:
    """Make fields of what names an image, and see an id's look."""
    if isinstance(value, Image):
        return made(Image, ImageFields)(value)
    if isinstance(value, SSMParameter):
        return made(SSMParameter, SSMParameterFields)(value)
    if isinstance(value, str) and not re.match(AMI, value):
        raise ValueError("it is not the id of an image, which is 'ami-' and 8 or 17 digits")
    if not (value is None or isinstance(value, str | ImageFields | SSMParameterFields)):
        raise ValueError("it is neither the id of an image, an Image nor an SSMParameter")
    return value


SubnetId = Annotated[str, pydantic.Field(pattern=r"^subnet-([0-9a-f]{8}|[0-9a-f]{17})$")]
GroupId = Annotated[str, pydantic.Field(pattern=r"^sg-([0-9a-f]{8}|[0-9a-f]{17})$")]


def some(value: object) -> object:
    """Refuse an empty list."""
    if value in ([], ()):
        raise ValueError("there is none in it")
    return sequence(value)


def listing(values: str, example: str, field: str) -> dict[str, Any]:
    """Return what the schema of a field says that is a list."""
    return {"values": f"a list of {values}", "remedy": f"give {field} a list such as {example}"}
