"""What an instance is told when it starts: its SSH keys, its dead-man switch, and the user's part.

It is for cloud-init, in parts of one MIME message, and the same to the last byte for the same host.
The user's part comes first, so that of keys given twice ours are in force: cloud-init lets the later
part replace what an earlier one says.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Final

from buildbot_drydock.latent.ec2.keys import KeyPair

# What EC2 takes, before it is encoded ("Run commands when you launch an EC2 instance", EC2 user
# guide), and what of it is left for the user's part.
MOST_BYTES: Final = 16 * 1024
MOST_BYTES_OF_TEMPLATE: Final = 11 * 1024

# A master touches this file while it has the instance in use.
SIGN_OF_LIFE: Final = "/run/drydock-sign-of-life"

VARIABLES: Final = ("TOKEN", "BLUEPRINT", "INSTALLATION", "REGION")
_VARIABLE: Final = re.compile(r"@([A-Z][A-Z_]*)@")

# How cloud-init tells what a part is (cloud-init documentation, "User data formats").
_KINDS: Final = {
    "#!": "text/x-shellscript",
    "#cloud-config": "text/cloud-config",
    "#cloud-boothook": "text/cloud-boothook",
    "#include": "text/x-include-url",
    "#part-handler": "text/part-handler",
    "## template: jinja": "text/jinja2",
}
_BOUNDARY: Final = "=====drydock-part====="
_TICK_SECONDS: Final = 60

# A boothook runs at each boot. It counts instead of comparing clocks, which may be set meanwhile.
# The file is made again, for the login's user, until that user exists. What watches is a subshell of
# its own: cloud-init waits until nobody holds the hook's output any more, and a function that runs
# in the background holds on to it in dash, to restore it afterwards.
WATCHDOG: Final = """\
#cloud-boothook
#!/bin/sh
sign={sign}
watch() {{
    ticks=0
    : > "$sign.seen"
    while [ "$ticks" -lt {ticks} ]; do
        sleep {tick}
        [ -e "$sign" ] || : > "$sign"
        chown {user} "$sign" 2> /dev/null
        if [ -n "$(find "$sign" -newer "$sign.seen")" ]; then
            ticks=0
            touch -r "$sign" "$sign.seen"
        else
            ticks=$((ticks + 1))
        fi
    done
    logger -t drydock "no master has been heard of for {hours} hours: powering off" || :
    {power_off}
}}
(watch) < /dev/null > /dev/null 2>&1 &
"""
# At each boot again, before anything else.
SSM_KEY: Final = """\
#cloud-boothook
#!/bin/sh
umask 077
mkdir -p {place} && echo {key} > {place}/key
"""
POWER_OFF: Final = "shutdown -h now || poweroff -f || halt -f -p"


def unknown_variables(template: str) -> list[str]:
    """Return what looks like a variable in a template and is none."""
    return [name for name in _VARIABLE.findall(template) if name not in VARIABLES]


def is_known_kind(template: str) -> bool:
    """Tell whether cloud-init would know what to do with a user's part."""
    return _kind(template) is not None


def filled(template: str, values: Mapping[str, str]) -> str:
    """Return a template with ``@TOKEN@`` and the other variables replaced."""
    return _VARIABLE.sub(lambda found: values.get(found[1], found[0]), template)


def watchdog(
    user: str, hours: float, *, tick: float = _TICK_SECONDS, power_off: str = POWER_OFF
) -> str:
    """Return the script that ends an instance on which no master has given a sign of life."""
    return WATCHDOG.format(
        sign=SIGN_OF_LIFE,
        ticks=max(1, round(hours * 3600 / tick)),
        tick=tick,
        user=user,
        hours=f"{hours:g}",
        power_off=power_off,
    )


def cloud_config(host_key: KeyPair, authorized_keys: tuple[str, ...]) -> str:
    """Return the part that gives the instance its host key, and lets the master log in."""
    lines = [
        "#cloud-config",
        "ssh_deletekeys: true",
        "ssh_keys:",
        "  ed25519_private: |",
        textwrap.indent(host_key.private.rstrip("\n"), "    "),
        f"  ed25519_public: {host_key.public}",
        "ssh_genkeytypes: []",
        "ssh_authorized_keys:",
        *(f"  - {each}" for each in authorized_keys),
    ]
    return "\n".join(lines) + "\n"


def ssm_key(place: str, key: str) -> str:
    """Return the part that gives the instance the key of what comes over Systems Manager."""
    return SSM_KEY.format(place=place, key=key)


def user_data(parts: Iterator[str] | list[str]) -> str:
    """Return the message of all parts."""
    lines = [f'Content-Type: multipart/mixed; boundary="{_BOUNDARY}"', "MIME-Version: 1.0", ""]
    for part in parts:
        lines += [
            f"--{_BOUNDARY}",
            f'Content-Type: {_kind(part)}; charset="utf-8"',
            "MIME-Version: 1.0",
            "Content-Transfer-Encoding: 8bit",
            "",
            part.rstrip("\n") + "\n",
        ]
    lines += [f"--{_BOUNDARY}--", ""]
    return "\n".join(lines)


def _kind(part: str) -> str | None:
    found = [kind for begin, kind in _KINDS.items() if part.startswith(begin)]
    return found[0] if found else None
