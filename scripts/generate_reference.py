"""Write docs/reference.md: what can be written in master.cfg, from the schemas that check it.

With ``--check`` nothing is written; the exit status tells whether the file is current.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from buildbot_drydock import steps
from buildbot_drydock.config import DrydockFields
from buildbot_drydock.latent.definition import CommonFields, Definition
from buildbot_drydock.latent.docker.fields import DockerEngineFields
from buildbot_drydock.latent.ec2.fields import (
    ImageFields,
    LaunchTemplateFields,
    SpotFields,
    SSMFields,
    SSMParameterFields,
    VolumeFields,
)
from buildbot_drydock.latent.hosts_fields import HostFields, SSHFields
from buildbot_drydock.latent.kinds import kinds
from buildbot_drydock.latent.problems import Fields, expectation
from buildbot_drydock.latent.schedule import Entry
from buildbot_drydock.sharing_fields import QuotaFields
from buildbot_drydock.workerpool import PoolFields

REFERENCE = Path(__file__).resolve().parents[1] / "docs" / "reference.md"

INTRODUCTION = """\
<!-- Written by scripts/generate_reference.py: change the descriptions in the code, then run it. -->

# Reference of the fields in master.cfg

```python
from buildbot_drydock import Drydock, LocalProcesses, WorkerPool

drydock = Drydock(
    blueprints=[LocalProcesses("linux", limit=4, labels={"os": "linux"})],
    workers=[WorkerPool("linux", size=8, requires={"os": "linux"})],
)
c["configurators"] = [drydock]
c["builders"] = [
    util.BuilderConfig("tests", workernames=drydock.workernames("linux"), factory=factory)
]
```

The name of a blueprint or a pool is its first argument: letters, digits, `_` and `-`, beginning
with a letter or `_`. All others are given as `field=value`. `buildbot checkconfig` reports all that
is wrong at once.
"""


OF_EC2 = (
    ("Image", "The `image` of an `EC2Pool`: the newest of an owner's with a name.", ImageFields),
    (
        "SSMParameter",
        "The `image` of an `EC2Pool`, as a parameter of SSM names it.",
        SSMParameterFields,
    ),
    ("LaunchTemplate", "The `launch_template` of an `EC2Pool`.", LaunchTemplateFields),
    (
        "Volume",
        "One of the `volumes` of an `EC2Pool`, with `device` as its first argument.",
        VolumeFields,
    ),
    ("SSM", "The `ssm` of an `EC2Pool` with `reach='ssm'`.", SSMFields),
    ("Spot", "The `spot` of an `EC2Pool`.", SpotFields),
)


def reference() -> str:
    """Return the whole document."""
    sections = [INTRODUCTION]
    sections.append(section("Drydock", "Beside `blueprints` and `workers`.", DrydockFields))
    sections.append(
        section(
            "Quota",
            "One of the `quotas` of `Drydock`, with one of `builder`, `project` and `owner`. In "
            "patterns `*` stands for any letters, `?` for one, `[abc]` for one of these.",
            QuotaFields,
        )
    )
    sections.append(section("WorkerPool", "A pool of workers with recycled names.", PoolFields))
    sections.append(section("All blueprints", "What every kind has.", CommonFields))
    for _, cls in sorted(kinds([]).classes.items()):
        sections.append(kind_section(cls))
    sections.append(
        section(
            "Host",
            "A machine of a `HostPool`, with `name` as its first argument. In an inventory file it "
            "has the same fields.",
            HostFields,
        )
    )
    sections.append(
        section("SSH", "How a `HostPool` or an `EC2Pool` reaches its hosts.", SSHFields)
    )
    sections.append(
        section(
            "DockerEngine",
            "One of the `hosts` of a `DockerPool`, with `url` as its first argument.",
            DockerEngineFields,
        )
    )
    sections += [section(title, text, fields) for title, text, fields in OF_EC2]
    sections.append(
        section(
            "Schedule",
            "An entry of a blueprint's `schedule`, with `cron` as its first argument. The entry "
            "whose time came last is in force.",
            Entry,
        )
    )
    sections += [step_section(getattr(steps, name)) for name in steps.__all__]
    return "\n".join(sections)


def step_section(cls: type[Any]) -> str:
    """Describe a build step, beside what all steps of Buildbot's take."""
    return "\n".join([f"## {cls.__name__}", "", "A build step. " + (inspect.getdoc(cls) or ""), ""])


def kind_section(cls: type[Definition]) -> str:
    """Describe a kind of blueprint: the fields that it alone has, or has otherwise."""
    common = rows(CommonFields)
    own = {field: row for field, row in rows(cls.fields_class).items() if common.get(field) != row}
    text = inspect.getdoc(cls) or ""
    return "\n".join(
        [f"## {cls.__name__}", "", text, "", f"Its kind is `{cls.kind}`.", "", *table(own)]
    )


def section(title: str, text: str, fields: type[Fields]) -> str:
    return "\n".join([f"## {title}", "", text, "", *table(rows(fields))])


def table(described: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    if not described:
        yield "It has no fields of its own."
    else:
        yield "| field | value | default | meaning |"
        yield "|---|---|---|---|"
    for field, cells in described.items():
        yield f"| {' | '.join([f'`{field}`', *cells])} |"
    yield ""


def meaning(described: Mapping[str, Any]) -> str:
    text = " ".join(described.get("description", "").split()).replace("|", "\\|")
    return f"{text} Can be edited while the master runs." if described.get("editable") else text


def rows(fields: type[Fields]) -> dict[str, tuple[str, ...]]:
    """Return, for each field, its values, its default and its meaning."""
    schema = fields.model_json_schema()
    return {
        field: (
            values(described),
            default(fields, field),
            meaning(described),
        )
        for field, described in schema["properties"].items()
    }


def values(described: Mapping[str, Any]) -> str:
    text = expectation(described)
    return f"{text} ({described['unit']})" if "unit" in described else text


def default(fields: type[Fields], field: str) -> str:
    info = fields.model_fields[field]
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True, validated_data={})
    if value == ():
        return "`[]`"
    if isinstance(value, SSHFields):
        return "`SSH()`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value!r}`"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only tell whether it is current")
    options = parser.parse_args(arguments)
    text = reference()
    if options.check:
        if REFERENCE.exists() and REFERENCE.read_text("utf-8") == text:
            return 0
        print(f"{REFERENCE} is not current. Remedy: run scripts/generate_reference.py.")
        return 1
    REFERENCE.parent.mkdir(exist_ok=True)
    REFERENCE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
