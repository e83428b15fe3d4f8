"""What this test server takes from moto, and from which moto.

The server reaches into moto's EC2 models, so it is tied to one version of it and says so at
import. moto keeps all accounts of a process in one place; each server takes an account of its own,
so that any number of servers can live side by side in one process.
"""

from __future__ import annotations

import functools
import itertools
import os
from importlib import metadata
from typing import Any

MOTO_VERSION = "5.2.5"

installed = metadata.version("moto")
if installed != MOTO_VERSION:
    raise ImportError(
        f"The EC2 test server is written for moto {MOTO_VERSION}, and moto {installed} is"
        f" installed. Run: pip install 'moto[server,ec2,ssm,sqs,events]=={MOTO_VERSION}'"
    )

# 1301 images that no test asks for would be loaded with the first call: two seconds.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"

from moto import backends, settings  # noqa: E402
from moto.ec2.models import ec2_backends  # noqa: E402
from moto.ec2.models.instance_types import INSTANCE_TYPES  # noqa: E402
from moto.events.models import events_backends  # noqa: E402
from moto.events.utils import EventTemplateParser  # noqa: E402
from moto.iam.models import iam_backends  # noqa: E402
from moto.kms import models as kms  # noqa: E402
from moto.sqs.models import sqs_backends  # noqa: E402
from moto.ssm.models import ssm_backends  # noqa: E402

settings.ENABLE_AMI_VALIDATION = True

# It would list its directories with every call.
_MODULES = tuple(backends.list_of_moto_modules())
vars(backends)["list_of_moto_modules"] = lambda: _MODULES

# Each account would make an RSA key of its own with its first encrypted volume: a tenth of a second.
vars(kms)["generate_private_key"] = functools.cache(kms.generate_private_key)

# moto leaves the account out of events.
EventTemplateParser.DEFAULT_EVENT_INPUT_TEMPLATE = (
    '{"version": "0", "id": "<id>", "detail-type": "<detail-type>", "source": "<source>",'
    ' "account": "<account>", "time": <time>, "region": "<region>", "resources": <resources>,'
    ' "detail": <detail>}'
)

_account_numbers = itertools.count(210000000001)


def new_account() -> str:
    """The number of an account that no other server of this process uses."""
    return str(next(_account_numbers))


def ec2_of(account: str, region: str) -> Any:
    """moto's EC2 of one account and region."""
    return ec2_backends[account][region]


def events_of(account: str, region: str) -> Any:
    """moto's EventBridge of one account and region."""
    return events_backends[account][region]


def parameters_of(account: str, region: str) -> Any:
    """moto's SSM of one account and region."""
    return ssm_backends[account][region]


def queues_of(account: str, region: str) -> Any:
    """moto's SQS of one account and region."""
    return sqs_backends[account][region]


def iam_of(account: str) -> Any:
    """moto's IAM of one account."""
    return iam_backends[account]["aws"]


def cores_of(instance_type: str) -> int:
    """The number of virtual CPUs that a type counts against a quota."""
    return int(INSTANCE_TYPES[instance_type]["VCpuInfo"]["DefaultVCpus"])


def architectures_of(instance_type: str) -> list[str]:
    """The architectures that machines of a type can run."""
    processor = INSTANCE_TYPES[instance_type].get("ProcessorInfo", {})
    return list(processor.get("SupportedArchitectures", ["x86_64"]))


def is_instance_type(instance_type: str) -> bool:
    """Whether EC2 knows a type of that name."""
    return instance_type in INSTANCE_TYPES
