"""What tests of the server share: one server for each test, and short ways to ask it."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError
from twisted.trial.unittest import SynchronousTestCase

from . import EC2Server, Timings


class ServerCase(SynchronousTestCase):
    """A server of its own for each test, and a client that repeats nothing."""

    timings = Timings()

    def setUp(self) -> None:
        self.server = EC2Server(timings=Timings(**vars(self.timings))).start()
        self.addCleanup(self.server.stop)
        self.ec2 = self.server.client()
        self.inspector = self.server.inspector
        self.image = self.server.catalogue.newest_image

    def run_instances(self, count: int = 1, **parameters: Any) -> list[str]:
        """Launch, and return the ids."""
        asked = {
            "ImageId": self.image,
            "InstanceType": "c5.large",
            "MinCount": count,
            "MaxCount": count,
            **parameters,
        }
        return [one["InstanceId"] for one in self.ec2.run_instances(**asked)["Instances"]]

    def run_spot(self, kind: str = "one-time", **parameters: Any) -> str:
        options = {"SpotInstanceType": kind, **parameters.pop("spot", {})}
        market = {"MarketType": "spot", "SpotOptions": options}
        return self.run_instances(InstanceMarketOptions=market, **parameters)[0]

    def describe(self, **parameters: Any) -> list[dict[str, Any]]:
        """The instances of one page."""
        answer = self.ec2.describe_instances(**parameters)
        return [one for group in answer["Reservations"] for one in group["Instances"]]

    def ids(self, **parameters: Any) -> list[str]:
        return [one["InstanceId"] for one in self.describe(**parameters)]

    def filtered(self, **filters: str) -> list[str]:
        """The ids that fit filters, whose names are written with `_` for `-` here."""
        return self.ids(
            Filters=[
                {"Name": name.replace("_", "-"), "Values": [value]}
                for name, value in filters.items()
            ]
        )

    def state(self, instance_id: str) -> str:
        return str(self.describe(InstanceIds=[instance_id])[0]["State"]["Name"])

    def refused(self, code: str, call: Any, *args: Any, **parameters: Any) -> ClientError:
        """Assert that a call is answered with an error of that code."""
        error = self.assertRaises(ClientError, call, *args, **parameters)
        self.assertEqual(error.response["Error"]["Code"], code)
        return error

    def template(self, **data: Any) -> str:
        """A launch template; returns its id."""
        content = {"ImageId": self.image, "InstanceType": "c5.large", **data}
        answer = self.ec2.create_launch_template(
            LaunchTemplateName=f"template-{len(self.inspector.calls)}", LaunchTemplateData=content
        )
        return str(answer["LaunchTemplate"]["LaunchTemplateId"])

    def fleet(
        self, overrides: list[dict[str, Any]], spot: int = 0, on_demand: int = 0, **parameters: Any
    ) -> dict[str, Any]:
        """CreateFleet of type instant."""
        template = parameters.pop("template", None) or self.template()
        asked = {
            "Type": "instant",
            "LaunchTemplateConfigs": [
                {
                    "LaunchTemplateSpecification": {
                        "LaunchTemplateId": template,
                        "Version": "$Default",
                    },
                    "Overrides": overrides,
                }
            ],
            "TargetCapacitySpecification": {
                "TotalTargetCapacity": spot + on_demand,
                "SpotTargetCapacity": spot,
                "OnDemandTargetCapacity": on_demand,
                "DefaultTargetCapacityType": "spot",
            },
            **parameters,
        }
        return dict(self.ec2.create_fleet(**asked))


def tagged(resource_type: str = "instance", **tags: str) -> list[dict[str, Any]]:
    """TagSpecifications of one type of resource."""
    return [
        {
            "ResourceType": resource_type,
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        }
    ]
