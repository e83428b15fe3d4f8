"""The actions of the EC2 API on Spot requests and Spot prices."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult

from .answering import Answering
from .clock import date_of
from .cloud import Cloud
from .listing import Filters, match_tags, matches, page, page_size
from .problems import EC2Error
from .records import SpotRequest
from .spot import cancel
from .views import spot_request_view

SPOT_FILTERS = {
    "instance-id",
    "spot-instance-request-id",
    "state",
    "status-code",
    "tag-key",
    "type",
}
PRICE_FILTERS = {"availability-zone", "instance-type", "product-description", "spot-price"}


class SpotAnswers(Answering):
    """Spot requests and prices as `Cloud` has them."""

    def describe_spot_instance_requests(self) -> ActionResult:
        cloud, sent = self.cloud, self.sent
        filters = self.filters(SPOT_FILTERS)
        wanted = sent.get("SpotInstanceRequestIds", [])
        chosen = self._spot_requests(wanted) if wanted else list(cloud.spot_requests.values())
        found = [one for one in chosen if _match_spot_request(cloud, one, filters)]
        size = page_size(sent.get("MaxResults"))
        shown, token = page(found, lambda one: one.id, sent.get("NextToken"), size, self.query())
        views = [spot_request_view(cloud, one) for one in shown]
        return ActionResult({"SpotInstanceRequests": views, "NextToken": token})

    def _spot_requests(self, request_ids: list[str]) -> list[SpotRequest]:
        for request_id in request_ids:
            if request_id not in self.cloud.spot_requests:
                raise EC2Error(
                    "InvalidSpotInstanceRequestID.NotFound",
                    f"The spot instance request ID '{request_id}' does not exist",
                )
        return [self.cloud.spot_requests[request_id] for request_id in request_ids]

    def cancel_spot_instance_requests(self) -> ActionResult:
        cloud = self.cloud
        requests = self._spot_requests(self.sent.get("SpotInstanceRequestIds", []))
        self.check_dry_run()
        for request in requests:
            cancel(cloud, request)
        views = [{"SpotInstanceRequestId": one.id, "State": one.state} for one in requests]
        return ActionResult({"CancelledSpotInstanceRequests": views})

    def describe_spot_price_history(self) -> ActionResult:
        cloud, sent = self.cloud, self.sent
        filters = self.filters(PRICE_FILTERS)
        start = _moment(sent.get("StartTime"), 0.0)
        end = _moment(sent.get("EndTime"), cloud.now())
        types = sent.get("InstanceTypes") or filters.get("instance-type") or ["m5.large"]
        zones = filters.get("availability-zone") or cloud.zones()
        if sent.get("AvailabilityZone"):
            zones = [sent["AvailabilityZone"]]
        entries = [
            {
                "AvailabilityZone": zone,
                "InstanceType": kind,
                "ProductDescription": "Linux/UNIX",
                "SpotPrice": f"{price:.6f}",
                "Timestamp": date_of(at),
            }
            for kind in types
            for zone in zones
            for at, price in _between(cloud.prices.history(kind, zone), start, end)
        ]
        size = page_size(sent.get("MaxResults"), smallest=1)
        numbered = list(enumerate(entries))
        shown, token = page(numbered, lambda one: one[0], sent.get("NextToken"), size, self.query())
        # EC2 writes an empty token on the last page.
        return ActionResult(
            {"SpotPriceHistory": [entry for _, entry in shown], "NextToken": token or ""}
        )


def _match_spot_request(cloud: Cloud, request: SpotRequest, filters: Filters) -> bool:
    values = {
        "instance-id": request.instance_id,
        "spot-instance-request-id": request.id,
        "state": request.state,
        "status-code": request.status,
        "type": request.kind,
    }
    tags = cloud.moto.tags.get(request.id, {})
    return all(
        matches([values[name]], patterns) if name in values else match_tags(tags, name, patterns)
        for name, patterns in filters.items()
    )


def _moment(value: Any, default: float) -> float:
    return default if value is None else float(value.timestamp())


def _between(
    history: list[tuple[float, float]], start: float, end: float
) -> list[tuple[float, float]]:
    """The changes between two times, newest first, with the price that held at the start."""
    known = [change for change in history if change[0] <= end]
    before = [change for change in known if change[0] <= start][-1:]
    return [*reversed([change for change in known if change[0] > start]), *before]
