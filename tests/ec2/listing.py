"""What DescribeInstances lists: ids, filters and pages, by the book."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from .clock import date_of
from .problems import EC2Error
from .records import STATE_CODES, Instance

INSTANCE_ID = re.compile(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})")
SMALLEST_PAGE = 5
LARGEST_PAGE = 1000

Item = TypeVar("Item")
Filters = dict[str, list[str]]

FIELDS: dict[str, Callable[[Instance], list[str | None]]] = {
    "architecture": lambda i: [i.moto.architecture],
    "availability-zone": lambda i: [i.zone],
    "client-token": lambda i: [i.client_token],
    "dns-name": lambda i: [i.moto.public_dns_name],
    "image-id": lambda i: [i.moto.image_id],
    "instance-id": lambda i: [i.id],
    "instance-lifecycle": lambda i: ["spot" if i.market == "spot" else None],
    "instance-state-code": lambda i: [str(STATE_CODES[i.state])],
    "instance-state-name": lambda i: [i.state],
    "instance-type": lambda i: [i.instance_type],
    "instance.group-id": lambda i: [group.id for group in i.moto.security_groups],
    "instance.group-name": lambda i: [group.name for group in i.moto.security_groups],
    "ip-address": lambda i: [i.public_ip],
    "key-name": lambda i: [i.moto.key_name],
    "launch-time": lambda i: [date_of(i.launched_at).strftime("%Y-%m-%dT%H:%M:%S.000Z")],
    "owner-id": lambda i: [i.moto.owner_id],
    "private-ip-address": lambda i: [i.private_ip],
    "reservation-id": lambda i: [i.reservation_id],
    "root-device-type": lambda i: [i.moto.root_device_type],
    "spot-instance-request-id": lambda i: [i.spot_request_id],
    "state-reason-code": lambda i: [i.reason_code or None],
    "subnet-id": lambda i: [i.moto.subnet_id],
    "vpc-id": lambda i: [i.moto.vpc_id],
}
"""The filters of DescribeInstances that this server knows, beside those on tags."""


def check_instance_ids(instance_ids: list[str]) -> None:
    """Refuse ids that can't be ids."""
    for instance_id in instance_ids:
        if not INSTANCE_ID.fullmatch(instance_id):
            raise EC2Error("InvalidInstanceID.Malformed", f'Invalid id: "{instance_id}"')


def check_filters(filters: Filters, known: set[str]) -> None:
    """Refuse filters that the action doesn't know, and more values than it takes."""
    for name, values in filters.items():
        if name not in known and not name.startswith("tag:"):
            raise EC2Error("InvalidParameterValue", f"The filter '{name}' is invalid")
        if not values:
            raise EC2Error("InvalidParameterValue", f"The filter '{name}' has no values")
    if sum(len(values) for values in filters.values()) > 200:
        raise EC2Error("FilterLimitExceeded", "The maximum number of filter values is 200")


def matches(values: list[str | None], patterns: list[str]) -> bool:
    """Whether any value fits any pattern; `*` and `?` stand for anything."""
    return any(
        value is not None and fnmatchcase(value, pattern.replace("[", "[[]"))
        for value in values
        for pattern in patterns
    )


def match_tags(tags: dict[str, str], name: str, patterns: list[str]) -> bool:
    """Whether tags fit a filter `tag:KEY` or `tag-key`."""
    if name == "tag-key":
        return matches(list(tags), patterns)
    return matches([tags.get(name.removeprefix("tag:"))], patterns)


def match_instance(instance: Instance, tags: dict[str, str], filters: Filters) -> bool:
    """Whether an instance fits all filters."""
    for name, patterns in filters.items():
        if name == "tag-key" or name.startswith("tag:"):
            fits = match_tags(tags, name, patterns)
        else:
            fits = matches(FIELDS[name](instance), patterns)
        if not fits:
            return False
    return True


def page_size(max_results: int | None, smallest: int = SMALLEST_PAGE) -> int:
    """How many items a page has; raises if that many were not allowed to be asked for."""
    if max_results is None:
        return LARGEST_PAGE
    if max_results < smallest:
        raise EC2Error(
            "InvalidParameterValue",
            f"Value ( {max_results} ) for parameter maxResults is invalid. Expecting a value"
            f" greater than or equal to {smallest}.",
        )
    if max_results > LARGEST_PAGE:
        raise EC2Error(
            "InvalidParameterValue",
            f"Value ( {max_results} ) for parameter maxResults is invalid. Expecting a value"
            f" less than or equal to {LARGEST_PAGE}.",
        )
    return max_results


def page(
    items: list[Item], key: Callable[[Item], Any], token: str | None, size: int, query: str
) -> tuple[list[Item], str | None]:
    """One page of items in the order of their keys, and the token of the next one.

    A token says after which key to go on, so that items that come and go meanwhile don't shift the
    pages; it fits the same query only.
    """
    ordered = sorted(items, key=key)
    if token is not None:
        after = _read_token(token, query)
        ordered = [item for item in ordered if key(item) > after]
    if len(ordered) <= size:
        return ordered, None
    return ordered[:size], _write_token(key(ordered[size - 1]), query)


def _write_token(last: Any, query: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([last, query]).encode()).decode()


def _read_token(token: str, query: str) -> Any:
    try:
        last, of_query = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, binascii.Error):
        of_query = None
    if of_query != query:
        raise EC2Error("InvalidNextToken", "The specified NextToken is not valid.")
    return last
