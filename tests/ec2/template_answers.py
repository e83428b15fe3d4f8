"""The actions of the EC2 API on launch templates, where moto's answers are not those of EC2."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult

from .answering import Answering
from .clock import date_of
from .listing import page, page_size
from .problems import EC2Error


class TemplateAnswers(Answering):
    """Launch templates by the server's clock, listed in pages, and missing when they are."""

    def create_launch_template(self) -> Any:
        answer = super().create_launch_template()
        name = self.sent["LaunchTemplateName"]
        for template in self.cloud.moto.launch_templates.values():
            if template.name == name:
                template.create_time = date_of(self.cloud.now())
        return answer

    def delete_launch_template(self) -> Any:
        name = self.sent.get("LaunchTemplateName")
        known = {template.name for template in self.cloud.moto.launch_templates.values()}
        if name and name not in known:
            raise EC2Error(
                "InvalidLaunchTemplateName.NotFoundException",
                f"The specified launch template, with template name {name}, does not exist.",
            )
        return super().delete_launch_template()

    def describe_launch_templates(self) -> ActionResult:
        sent = self.sent
        found = self.cloud.moto.describe_launch_templates(
            template_names=sent.get("LaunchTemplateNames", []),
            template_ids=sent.get("LaunchTemplateIds", []),
            filters={one["Name"]: one["Values"] for one in self.listed_filters()},
        )
        size = page_size(sent.get("MaxResults"), smallest=1)
        shown, token = page(found, lambda one: one.id, sent.get("NextToken"), size, self.query())
        views = [
            {
                "CreateTime": template.create_time,
                "DefaultVersionNumber": template.default_version_number,
                "LatestVersionNumber": template.latest_version_number,
                "LaunchTemplateId": template.id,
                "LaunchTemplateName": template.name,
                "Tags": template.tags,
            }
            for template in shown
        ]
        return ActionResult({"LaunchTemplates": views, "NextToken": token})
