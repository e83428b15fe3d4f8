"""The ground of all answers: the cloud of a call, its parameters and its filters."""

from __future__ import annotations

import json
from typing import Any

from moto.ec2.responses import EC2Response

from .cloud import CLOUDS, Cloud
from .listing import Filters, check_filters
from .problems import EC2Error
from .requests import Request, plain


class Answering(EC2Response):
    """What all answers need: the cloud, the parameters, filters, and errors as EC2 writes them."""

    RESPONSE_KEY_PATH_TO_TRANSFORMER = {
        key: value
        for key, value in EC2Response.RESPONSE_KEY_PATH_TO_TRANSFORMER.items()
        # moto says "pending" whatever the state is; a repeated call must tell the real one.
        if key != "RunInstances.Reservation.Instances.Instance.State"
    }

    @property
    def cloud(self) -> Cloud:
        cloud = CLOUDS[self.current_account]
        if cloud.region != self.region:
            raise EC2Error(
                "InvalidParameterValue",
                f"This test server is in {cloud.region}; the call was signed for {self.region}.",
            )
        return cloud

    @property
    def sent(self) -> Request:
        """The parameters of the call as the client sent them."""
        return dict(plain(self.params))

    def call_action(self) -> Any:
        try:
            with self.cloud.lock:
                return super().call_action()
        except EC2Error as error:
            headers = {"Content-Type": "text/xml;charset=UTF-8"}
            return error.status, headers, error.as_xml()

    def check_dry_run(self) -> None:
        """End a call that asked only whether it might be made."""
        if self.sent.get("DryRun"):
            raise EC2Error(
                "DryRunOperation", "Request would have succeeded, but DryRun flag is set."
            )

    def filters(self, known: set[str]) -> Filters:
        """The call's filters; raises for one that isn't known."""
        filters = {one.get("Name", ""): one.get("Values", []) for one in self.listed_filters()}
        check_filters(filters, known)
        return filters

    def listed_filters(self) -> list[Request]:
        sent = self.sent
        return sent.get("Filters") or sent.get("Filter") or []

    def query(self) -> str:
        """What a page's token is bound to."""
        kept = {k: v for k, v in self.sent.items() if k not in ("NextToken", "MaxResults")}
        return json.dumps(kept, sort_keys=True, default=str)
