"""The shell text that an instance runs for a script of ours, and what it prints.

What is to be run comes encrypted; how it ended is kept in a file, encrypted as well, and printed in
pieces. Each delivery has an id of its own. One that comes twice, as when the reply to a request was
lost and it was repeated, is run once: a directory of that name can be made once only.

The agent runs it as root, as the leader of a process group that it kills if the command is
cancelled. The script itself runs as another user, in a session of its own, and notices the death of
the rest by the end of its input, as one over SSH notices the end of its connection.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from buildbot_drydock.remote.shell.scripts import quoted
from buildbot_drydock.remote.ssm.sealing import CIPHER

# Where everything is on an instance, below the root directory, which commands are run in.
PLACE: Final = "var/lib/drydock-ssm"
ROOT: Final = "/"

# GetCommandInvocation shows the first 24,000 characters of an output, with all else that is printed.
MOST_PRINTED: Final = 23_000
# The limit of a document is 64 KB (MaxDocumentSizeExceeded in the SSM API reference), what is put
# into it included; the text below takes some of it, and line ends count twice in JSON.
MOST_SENT: Final = 30_000

WRONG_KEY: Final = 95  # how a script ends that could not be decrypted
_MOST_TICK: Final = 1.0  # seconds between two looks at the limits
_TICKS: Final = 20  # looks during the shorter of them, at least

_REPLY: Final = re.compile(r"drydock-reply (\d+)\n(.*)", re.DOTALL)
_LEADER: Final = re.compile(rb"\[drydock-leader \d+\]")

_PREAMBLE: Final = r"""
drydock_umask=$(umask)
umask 077
cd "$drydock_place" 2>/dev/null && [ -r key ] || {
    echo drydock-no-key
    exit 3
}
for drydock_tool in openssl gzip base64 setsid; do
    command -v "$drydock_tool" >/dev/null || {
        echo drydock-no-tools
        exit 3
    }
done
"""

_STORE: Final = r"""
mkdir -p "parts-$drydock_id" &&
    cat >"new-$drydock_id-$$" <<'END' &&
@CONTENT@
END
    mv -f "new-$drydock_id-$$" "parts-$drydock_id/$drydock_part" &&
    echo drydock-stored
"""

_PRINT: Final = r"""
drydock_print() {
    printf 'drydock-reply %s\n' $(wc -c <"$drydock_id.reply")
    if [ "$drydock_from" = 1 ]; then
        head -c @MOST@ "$drydock_id.reply"
    else
        tail -c "+$drydock_from" "$drydock_id.reply" | head -c @MOST@
    fi
}
"""

# It says which process leads its session, for whoever ends it.
_SHELL: Final = r"""
printf "[drydock-leader %s]" $$ >&2
cd /
HOME=${HOME:-$(eval "echo ~$(id -un)")}
export HOME
IFS= read -r drydock_magic
if [ "$drydock_magic" != drydock ]; then
    echo "what was sent cannot be decrypted" >&2
    exit @WRONG_KEY@
fi
IFS= read -r drydock_length
drydock_script=$(dd ibs=1 count="$drydock_length" 2>/dev/null)  # head of busybox reads on
eval "$drydock_script"
"""

# The limits are watched here, as nobody else sees the output while it is written.
_RUN: Final = r"""
drydock_crypt() {
    openssl enc "$1" -@CIPHER@ -pass file:key 2>/dev/null
}
drydock_watch() {
    ticks=0 quiet=0 before=
    until [ -e "$run/exit" ]; do
        sleep "$drydock_tick"
        ticks=$((ticks + 1))
        if [ "$drydock_quiet_ticks" -gt 0 ]; then
            now=$(wc -c <"$run/out"):$(wc -c <"$run/err")
            if [ "$now" = "$before" ]; then quiet=$((quiet + 1)); else quiet=0; fi
            before=$now
            [ "$quiet" -lt "$drydock_quiet_ticks" ] || break
        fi
        [ "$ticks" -lt "$drydock_ticks" ] || break
    done
    [ ! -e "$run/exit" ] || return
    if [ "$ticks" -lt "$drydock_ticks" ]; then limit=idle_timeout; else limit=timeout; fi
    echo "$limit" >"$run/limit"
    until [ -e "$run/exit" ]; do
        leader=$(sed -n '/\[drydock-leader /{s/.*\[drydock-leader \([0-9]*\)\].*/\1/p;q;}' "$run/err")
        [ -z "$leader" ] || kill -s KILL -- "-$leader"
        sleep 0.1
    done
}
drydock_session() {
    umask "$drydock_umask"
    if [ "$(id -un)" = "$drydock_user" ]; then
        exec setsid sh -c "$drydock_shell" drydock
    fi
    exec setsid su -l -s /bin/sh -c "$drydock_shell" "$drydock_user"
}
drydock_sealed() {
    [ ! -d "parts-$drydock_id" ] || cat "parts-$drydock_id/"*
    cat <<'END'
@CONTENT@
END
}
drydock_run() {
    mkfifo "$run/told" && exec 3<>"$run/told" && : >"$run/out" && : >"$run/err" || {
        rm -rf "$run"
        return
    }
    drydock_watch >/dev/null 2>&1 </dev/null 3>&- &
    watch=$!
    {
        if drydock_sealed | base64 -d | drydock_crypt -d | gzip -dc 2>/dev/null; then
            read -r ended <&3
        fi
    } | {
        (drydock_session) >"$run/out" 2>"$run/err" 3>&-
        echo $? >"$run/exit"
        echo ended >&3
    }
    exec 3>&-
    kill "$watch" 2>/dev/null
    limit=none
    [ ! -e "$run/limit" ] || read -r limit <"$run/limit"
    read -r code <"$run/exit"
    {
        echo drydock
        echo "$code" "$limit" $(wc -c <"$run/out")
        cat "$run/out" "$run/err"
    } | gzip -c | drydock_crypt -e | base64 -w 0 >"$run/reply" &&
        mv -f "$run/reply" "$drydock_id.reply"
    rm -rf "$run" "parts-$drydock_id"
}
[ -z "$drydock_prunes" ] || find . -maxdepth 1 \
    \( -type f ! -name key -mmin +60 -o -type d ! -name . -mmin +3000 \) -exec rm -rf {} +
run=run-$drydock_id
if [ ! -e "$drydock_id.reply" ] && mkdir "$run" 2>/dev/null; then
    if [ -e "$drydock_id.reply" ]; then rmdir "$run"; else drydock_run; fi
fi
while [ ! -e "$drydock_id.reply" ]; do
    [ -d "$run" ] || [ -e "$drydock_id.reply" ] || exit 4
    sleep 0.5
done
drydock_from=1
drydock_print
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a script may take, in seconds."""

    timeout: float
    idle_timeout: float | None

    @property
    def tick(self) -> float:
        shorter = min(self.timeout, self.idle_timeout or self.timeout)
        return min(_MOST_TICK, max(shorter / _TICKS, 0.05))

    def ticks(self, seconds: float | None) -> int:
        return 0 if seconds is None else max(1, math.ceil(seconds / self.tick))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a script ended, as the instance tells it. *limit* is the one that it ran into, if any."""

    exit_code: int
    limit: str
    stdout: bytes
    stderr: bytes


def payload(script: str, content: bytes) -> bytes:
    """Return what is encrypted: a script, and what comes over its standard input."""
    text = script.encode()
    return f"{len(text)}\n".encode() + text + content


def parts(sealed: str) -> list[str]:
    """Return what is sent, in lines, in parts that a command can carry; at least one."""
    lines = [sealed[start : start + 64] for start in range(0, len(sealed), 64)]
    most = MOST_SENT // 66
    return ["\n".join(lines[start : start + most]) for start in range(0, len(lines), most)] or [""]


def store(delivery: str, number: int, part: str) -> str:
    """Return the text that keeps one part on the instance. It prints ``drydock-stored``."""
    values = {"place": PLACE, "id": delivery, "part": f"{number:06}"}
    return _assignments(values) + _PREAMBLE + _STORE.replace("@CONTENT@", part)


def run(delivery: str, part: str, user: str, limits: Limits, *, prunes: bool = True) -> str:
    """Return the text that runs what was stored and the last part, and prints the outcome.

    If it *prunes*, it also removes what is left of deliveries long ago.
    """
    values = {
        "place": PLACE,
        "id": delivery,
        "prunes": "yes" if prunes else "",
        "user": user,
        "tick": f"{limits.tick:.2f}",
        "ticks": str(limits.ticks(limits.timeout)),
        "quiet_ticks": str(limits.ticks(limits.idle_timeout)),
        "shell": _SHELL.replace("@WRONG_KEY@", str(WRONG_KEY)),
    }
    running = _RUN.replace("@CIPHER@", CIPHER).replace("@CONTENT@", part)
    return _assignments(values) + _PREAMBLE + _printing() + running


def more(delivery: str, start: int) -> str:
    """Return the text that prints the outcome from a character on, counted from 0."""
    values = {"place": PLACE, "id": delivery, "from": str(start + 1)}
    return _assignments(values) + _PREAMBLE + _printing() + "drydock_print\n"


def printed(output: str) -> tuple[int, str] | None:
    """Return how long the whole outcome is, and the part of it that was printed."""
    found = _REPLY.search(output)
    return None if found is None else (int(found[1]), found[2].strip())


def outcome(opened: bytes) -> Outcome:
    """Read what was decrypted."""
    head, _, outputs = opened.partition(b"\n")
    code, limit, size = head.split()
    stdout, stderr = outputs[: int(size)], outputs[int(size) :]
    return Outcome(
        exit_code=int(code),
        limit=limit.decode().replace("none", ""),
        stdout=stdout,
        stderr=_LEADER.sub(b"", stderr, count=1),
    )


def _printing() -> str:
    return _PRINT.replace("@MOST@", str(MOST_PRINTED))


def _assignments(values: dict[str, str]) -> str:
    lines = ["drydock_n='\n'"]
    lines += [f"drydock_{name}={quoted(value)}" for name, value in values.items()]
    return "\n".join(lines) + "\n"
