"""The actions of the EC2 API in which this server differs from moto."""

from __future__ import annotations

import base64
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2 import urls

from .clock import date_of
from .cloud import USER_INITIATED, Cloud
from .fleets import create_fleet
from .launching import Origin, launch, places
from .listing import (
    FIELDS,
    INSTANCE_ID,
    Filters,
    match_instance,
    matches,
    page,
    page_size,
)
from .problems import EC2Error, bad_value
from .records import Instance, Launch
from .requests import Request, check_tag_set, check_tags, with_template
from .spot import terminate_by_user
from .spot_answers import SpotAnswers
from .template_answers import TemplateAnswers
from .tokens import check_token
from .views import (
    hibernates,
    instance_view,
    reservation_views,
    state_view,
    status_of,
    status_view,
)
from .writing import Answer, answer_in_xml

INSTANCE_FILTERS = set(FIELDS) | {"tag-key"}
STATUS_FILTERS = {
    "availability-zone",
    "event.code",
    "instance-state-code",
    "instance-state-name",
    "instance-status.status",
    "system-status.status",
}


class Answers(SpotAnswers, TemplateAnswers):
    """moto's EC2, with instances, fleets and Spot as `Cloud` has them."""

    # -- launching -----------------------------------------------------------------------------

    def run_instances(self) -> ActionResult:
        cloud, sent = self.cloud, self.sent
        minimum, maximum = _counts(sent)
        check_tags(sent.get("TagSpecifications", []))
        request = with_template(cloud, sent.get("LaunchTemplate"), sent)
        self.check_dry_run()
        token = sent.get("ClientToken") or ""
        check_token(token)
        scope = _token_scope(cloud, request)
        kept = cloud.tokens.find("RunInstances", token, scope, sent) if token else None
        if kept is None:
            made = launch(cloud, request, minimum, maximum, Origin(sent, token))
            ids = [instance.id for instance in made]
            cloud.launches.append(Launch("RunInstances", token, maximum, cloud.now(), ids))
            if token:
                cloud.tokens.keep("RunInstances", token, scope, sent, ids)
        else:
            made = [cloud.instances[instance_id] for instance_id in kept.instance_ids]
            if all(one.state == "terminated" for one in made):
                if self._token_forgotten(made):
                    cloud.tokens.forget("RunInstances", token, scope)
                    return self.run_instances()
                if not cloud.tokens.replay_terminated:
                    raise EC2Error(
                        "IdempotentInstanceTerminated",
                        "The request to launch an instance uses the same client token as a previous"
                        " request for which the instance has been terminated.",
                    )
        return ActionResult(
            {
                "ReservationId": made[0].reservation_id,
                "OwnerId": cloud.account,
                "Groups": [],
                "Instances": [instance_view(cloud, instance) for instance in made],
            }
        )

    def _token_forgotten(self, made: list[Instance]) -> bool:
        ended = max(instance.history[-1][0] for instance in made)
        return self.cloud.now() >= ended + self.cloud.timings.token_kept

    def create_fleet(self) -> ActionResult:
        cloud, sent = self.cloud, self.sent
        self.check_dry_run()
        token = sent.get("ClientToken") or ""
        check_token(token)
        kept = cloud.tokens.find("CreateFleet", token, "", sent) if token else None
        if kept is not None:
            return ActionResult(kept.answer)
        answer = create_fleet(cloud, sent)
        if token:
            cloud.tokens.keep("CreateFleet", token, "", sent, [], answer)
        return ActionResult(answer)

    def describe_fleets(self) -> ActionResult:
        wanted = self.sent.get("FleetIds", [])
        # Fleets of type instant are told of only if they are asked for by their ids.
        return ActionResult({"Fleets": [self._fleet_view(one) for one in wanted]})

    def _fleet_view(self, fleet_id: str) -> Request:
        fleet = self._fleet(fleet_id)
        return {
            "FleetId": fleet.id,
            "FleetState": fleet.state,
            "ClientToken": fleet.client_token,
            "CreateTime": date_of(fleet.created_at),
            "Type": "instant",
            "Errors": fleet.answer["Errors"],
            "Instances": fleet.answer["Instances"],
            "Tags": [{"Key": key, "Value": value} for key, value in fleet.tags.items()],
        }

    def _fleet(self, fleet_id: str) -> Any:
        if fleet_id not in self.cloud.fleets:
            raise EC2Error("InvalidFleetId.NotFound", f"The fleet ID '{fleet_id}' does not exist")
        return self.cloud.fleets[fleet_id]

    def describe_fleet_instances(self) -> ActionResult:
        raise EC2Error("Unsupported", "Fleets of type instant have no DescribeFleetInstances.")

    def delete_fleets(self) -> ActionResult:
        cloud, sent = self.cloud, self.sent
        if not sent.get("TerminateInstances"):
            raise EC2Error(
                "InvalidParameterValue",
                "A fleet of type instant is deleted with its instances: TerminateInstances=true.",
            )
        deleted = []
        for fleet_id in sent.get("FleetIds", []):
            fleet = self._fleet(fleet_id)
            fleet.state = "deleted_terminating"
            for instance in cloud.instances.values():
                if instance.fleet_id == fleet_id:
                    terminate_by_user(cloud, instance)
            deleted.append(
                {
                    "FleetId": fleet_id,
                    "CurrentFleetState": "deleted_terminating",
                    "PreviousFleetState": "active",
                }
            )
        return ActionResult({"SuccessfulFleetDeletions": deleted, "UnsuccessfulFleetDeletions": []})

    def request_spot_instances(self) -> ActionResult:
        raise EC2Error("Unsupported", "This test server launches Spot by RunInstances and fleets.")

    def request_spot_fleet(self) -> ActionResult:
        raise EC2Error("Unsupported", "This test server launches Spot by RunInstances and fleets.")

    # -- listing -------------------------------------------------------------------------------

    def describe_instances(self) -> Answer:
        cloud, sent = self.cloud, self.sent
        filters = self.filters(INSTANCE_FILTERS)
        found = self._wanted_instances(filters)
        size = page_size(sent.get("MaxResults"))
        shown, token = page(found, lambda i: i.number, sent.get("NextToken"), size, self.query())
        return answer_in_xml(
            "DescribeInstances",
            {"Reservations": reservation_views(cloud, shown), "NextToken": token},
        )

    def _wanted_instances(self, filters: Filters) -> list[Instance]:
        cloud, sent = self.cloud, self.sent
        instance_ids = sent.get("InstanceIds", [])
        if instance_ids and sent.get("MaxResults") is not None:
            raise EC2Error(
                "InvalidParameterCombination",
                "The parameter instancesSet cannot be used with the parameter maxResults",
            )
        if instance_ids:
            listed = cloud.listed(instance_ids)
        else:
            listed = []
            for instance in cloud.instances.values():
                if cloud.is_listed(instance):
                    listed.append(instance)
                elif instance.hidden_calls > 0:
                    instance.hidden_calls -= 1
        return [one for one in listed if match_instance(one, cloud.tags_of(one), filters)]

    def describe_instance_status(self) -> Answer:
        cloud, sent = self.cloud, self.sent
        filters = self.filters(STATUS_FILTERS)
        if any(name.startswith("tag:") for name in filters):
            raise EC2Error("InvalidParameterValue", "The filter 'tag' is invalid")
        codes = filters.pop("event.code", None)
        every = bool(sent.get("IncludeAllInstances"))
        checks = {
            name: filters.pop(name) for name in list(filters) if name.endswith("-status.status")
        }
        found = [
            instance
            for instance in self._wanted_instances(filters)
            if (every or instance.state == "running")
            and all(matches([status_of(cloud, instance)], wanted) for wanted in checks.values())
            and (codes is None or matches([event.code for event in instance.events], codes))
        ]
        size = page_size(sent.get("MaxResults"))
        shown, token = page(found, lambda i: i.number, sent.get("NextToken"), size, self.query())
        views = [status_view(cloud, instance) for instance in shown]
        return answer_in_xml(
            "DescribeInstanceStatus", {"InstanceStatuses": views, "NextToken": token}
        )

    def get_console_output(self) -> ActionResult:
        instance = self.cloud.listed([self.sent["InstanceId"]])[0]
        answer: Request = {
            "InstanceId": instance.id,
            "Timestamp": date_of(self.cloud.now()),
        }
        if instance.console_output is not None:
            answer["Output"] = base64.b64encode(instance.console_output.encode()).decode()
        return ActionResult(answer)

    def create_tags(self) -> Any:
        sent = self.sent
        check_tag_set(sent.get("Tags", []))
        self.cloud.listed([one for one in sent.get("Resources", []) if INSTANCE_ID.fullmatch(one)])
        return super().create_tags()

    # -- changing ------------------------------------------------------------------------------

    def terminate_instances(self) -> ActionResult:
        cloud, sent = self.cloud, self.sent
        instances = self._named_instances(sent)
        self.check_dry_run()
        protected = [one for one in instances if one.protected and one.living]
        blocked_zones = {instance.zone for instance in protected}
        before = {instance.id: instance.state for instance in instances}
        for instance in instances:
            # Of instances in several zones, those in zones without a protected one do end.
            if instance.zone not in blocked_zones:
                terminate_by_user(cloud, instance)
        if protected:
            raise EC2Error(
                "OperationNotPermitted",
                f"The instance '{protected[0].id}' may not be terminated. Modify its"
                " 'disableApiTermination' instance attribute and try again.",
            )
        return ActionResult({"TerminatingInstances": _changes(instances, before)})

    def _named_instances(self, sent: Request) -> list[Instance]:
        instance_ids = sent.get("InstanceIds", [])
        if not instance_ids:
            raise EC2Error("MissingParameter", "The request must contain the parameter InstanceId")
        return self.cloud.listed(list(dict.fromkeys(instance_ids)))

    def stop_instances(self) -> ActionResult:
        cloud, sent = self.cloud, self.sent
        instances = self._named_instances(sent)
        self.check_dry_run()
        for instance in instances:
            _check_stoppable(cloud, instance, bool(sent.get("Hibernate")))
        before = {instance.id: instance.state for instance in instances}
        for instance in instances:
            if instance.state == "running":
                cloud.begin_stop(instance, USER_INITIATED)
        return ActionResult({"StoppingInstances": _changes(instances, before)})

    def start_instances(self) -> ActionResult:
        cloud, sent = self.cloud, self.sent
        instances = self._named_instances(sent)
        self.check_dry_run()
        for instance in instances:
            if instance.state not in ("stopped", "pending", "running"):
                raise _incorrect_state(instance, "started")
        before = {instance.id: instance.state for instance in instances}
        for instance in instances:
            if instance.state == "stopped":
                pool = (instance.instance_type, instance.zone, instance.market)
                if cloud.capacity.left(*pool, cloud.instances.values()) < 1:
                    raise EC2Error(
                        "InsufficientInstanceCapacity",
                        f"Insufficient capacity to start {instance.id}.",
                    )
                cloud.begin_start(instance)
        return ActionResult({"StartingInstances": _changes(instances, before)})

    def reboot_instances(self) -> Any:
        self._named_instances(self.sent)
        return super().reboot_instances()


urls.url_paths["{0}/"] = Answers.dispatch


def _counts(sent: Request) -> tuple[int, int]:
    minimum, maximum = int(sent.get("MinCount") or 0), int(sent.get("MaxCount") or 0)
    if minimum < 1:
        raise bad_value(minimum, "minCount", "It must be greater than 0.")
    if maximum < minimum:
        raise bad_value(minimum, "minCount", f"It must not exceed maxCount ({maximum}).")
    return minimum, maximum


def _token_scope(cloud: Cloud, request: Request) -> str:
    """The zone if the request names one or a subnet, else the whole Region."""
    if request.get("SubnetId") or request.get("NetworkInterfaces"):
        return places(cloud, request)[0].zone
    return str((request.get("Placement") or {}).get("AvailabilityZone") or "")


def _changes(instances: list[Instance], before: dict[str, str]) -> list[Request]:
    return [
        {
            "InstanceId": instance.id,
            "CurrentState": state_view(instance.state),
            "PreviousState": state_view(before[instance.id]),
        }
        for instance in instances
    ]


def _incorrect_state(instance: Instance, what: str) -> EC2Error:
    return EC2Error(
        "IncorrectInstanceState",
        f"The instance '{instance.id}' is not in a state from which it can be {what}.",
    )


def _check_stoppable(cloud: Cloud, instance: Instance, hibernate: bool) -> None:
    if instance.state not in ("running", "stopping", "stopped"):
        raise _incorrect_state(instance, "stopped")
    spot = cloud.spot_requests.get(instance.spot_request_id or "")
    if spot is not None and spot.kind == "one-time":
        raise EC2Error(
            "UnsupportedOperation",
            f"You can't stop the Spot Instance '{instance.id}' because it is associated with a"
            " one-time Spot Instance request. You can only stop Spot Instances associated with"
            " persistent Spot Instance requests.",
        )
    if hibernate and not hibernates(instance):
        raise EC2Error(
            "UnsupportedHibernationConfiguration",
            f"The instance '{instance.id}' is not enabled for hibernation.",
        )
