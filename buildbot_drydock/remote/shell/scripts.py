"""The scripts that run on the machine, and how they get there whatever the login shell is.

They need a POSIX shell and its usual companions (``grep``, ``awk``, ``ps``), as a small Linux or
macOS has them. What a script works on, arguments, environment and input, comes over its standard
input, as other users can read command lines. A script first says that it is ready: what comes
before is a login's noise, or the complaint of a script that could not begin.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

READY: Final = re.compile(rb"\x01drydock ([0-9]+)\x02")  # with the number of its process

# How a script ends that could not begin.
CUT_OFF: Final = 96  # not all of its input arrived
GONE: Final = 97  # the host's directory is not there
FAILED: Final = 98  # something else; it says what

_SAFE: Final = re.compile(r"[A-Za-z0-9_./=:;,@ ()$\"{}<>&|*+-]")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@cache
def command_line(script: str) -> str:
    """Return one line that has any login shell hand *script* to a POSIX shell.

    Nothing in it means anything to a shell within single quotes, be it csh or fish: line ends,
    quotes, backslashes and exclamation marks are spelled as numbers, and put right by ``printf``.
    """
    spelled = "".join(_spelled(each) for each in script)
    return f"exec /bin/sh -c 'eval \"$(printf %b \"$1\")\"' drydock '{spelled}'"


def _spelled(character: str) -> str:
    if _SAFE.fullmatch(character):
        return character
    return "".join(f"\\0{byte:03o}" for byte in character.encode())


def quoted(text: str) -> str:
    """Quote text for a POSIX shell, in one line: a line end is the variable ``drydock_n``.

    Raises ``ValueError`` for what no command line or environment can hold.
    """
    if "\0" in text:
        raise ValueError(f"{text!r} has a null character, which no process can be given")
    return "'" + text.replace("'", "'\\''").replace("\n", "'\"$drydock_n\"'") + "'"


def given(values: Mapping[str, str], argv: Sequence[str] = ()) -> bytes:
    """Return the first line of a script's input: its variables and its arguments."""
    words = [f"drydock_{name}={quoted(value)}" for name, value in values.items()]
    words.append(" ".join(["set", "--", *(quoted(each) for each in argv)]))
    return ("; ".join(words) + "\n").encode("utf-8", "surrogateescape")


def exports(environment: Mapping[str, str], without: Sequence[str] = ()) -> str:
    """Return shell text, in one line, that sets an environment.

    Raises ``ValueError`` for a name that a shell can't set.
    """
    words = [f"unset {name}" for name in without]
    for name, value in environment.items():
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"the environment variable {name!r} can't be set: its name may have letters, "
                "digits and '_' only"
            )
        words.append(f"{name}={quoted(value)}; export {name}")
    return "; ".join(words)


BEGIN: Final = r"""
drydock_n='
'
IFS= read -r drydock_given || exit 96
eval "$drydock_given"
drydock_given=
drydock_ready() {
    printf '\001drydock %s\002' $$ >&2
    printf '\001drydock %s\002' $$
}
drydock_fail() {
    printf '%s\n' "$2" >&2
    exit "$1"
}
drydock_pause() {
    sleep 0.05 2>/dev/null || sleep 1
}
unset CDPATH
case $drydock_directory in
    /*) ;;
    *) drydock_directory=${HOME:-.}/$drydock_directory ;;
esac
"""

ENTER: Final = r"""
cd -- "$drydock_directory" 2>/dev/null ||
    drydock_fail 97 "the directory $drydock_directory is gone"
"""

# All of the input must have come before anything is changed.
TAKE_INPUT: Final = r"""
drydock_take_input() {
    true >"$1" || exit 98
    if [ "$drydock_size" -gt 0 ]; then
        head -c "$drydock_size" >>"$1" || exit 98
        [ "$(wc -c <"$1")" -eq "$drydock_size" ] || exit 96
    fi
}
"""

ENTER_WORK: Final = r"""
if [ -n "$drydock_cwd" ]; then
    cd -- "$drydock_cwd" 2>/dev/null ||
        drydock_fail 98 "the working directory $drydock_cwd does not exist in $drydock_directory"
fi
"""

# The watch stands aside from the command, which must not find a child that it has not started, and
# holds none of its outputs. A line, and the end of the time, ends the group whatever is left of it;
# the end of the input ends it only if the command has not ended by itself: a server closes the
# input of a command that has. The command may signal its group, so the watch ignores what it can.
_WATCH: Final = r"""
exec 3<&0 </dev/null
drydock_watch() {
    trap '' HUP INT QUIT TERM PIPE ALRM USR1 USR2
    sleep "$drydock_seconds" &
    drydock_sleeper=$!
    {
        read -r drydock_line && kill -s KILL 0
        kill -s KILL "$drydock_sleeper"
    } <&3 &
    exec 3<&-
    wait "$drydock_sleeper" && kill -s KILL 0
    kill -s 0 $$ && kill -s KILL 0
}
(
    exec >/dev/null 2>&1
    drydock_watch &
)
"""

RUN: Final = (
    BEGIN
    + ENTER
    + TAKE_INPUT
    + r"""
drydock_input=/dev/null
if [ "$drydock_size" -gt 0 ]; then
    drydock_input=.drydock-input-$$
    trap 'rm -f "$drydock_input"' EXIT
    (umask 077 && drydock_take_input "$drydock_input") || exit
fi
"""
    + _WATCH
    + r"""
exec 3<&- <"$drydock_input"
if [ "$drydock_size" -gt 0 ]; then
    rm -f "$drydock_input"
    trap - EXIT
fi
"""
    + ENTER_WORK
    + r"""
eval "$drydock_environment"
drydock_ready
exec "$@"
"""
)

# Something may be started after it, and must not get this language.
FOUND_DIRECTORY: Final = r"""
(
    LC_ALL=C
    export LC_ALL
    umask 077
    [ -d "$drydock_directory" ] || mkdir -p -- "$drydock_directory"
) || exit 98
"""

MAKE_DIRECTORY: Final = (
    BEGIN
    + FOUND_DIRECTORY
    + r"""
drydock_ready
"""
)

READ: Final = (
    BEGIN
    + ENTER
    + r"""
LC_ALL=C
export LC_ALL
drydock_ready
exec cat -- "$1"
"""
)

WRITE: Final = (
    BEGIN
    + ENTER
    + TAKE_INPUT
    + r"""
LC_ALL=C
export LC_ALL
mkdir -p -- "$2" || exit 98
[ ! -d "$1" ] || drydock_fail 98 "$1: Is a directory"
drydock_new=$2/.drydock-new-$$
trap 'rm -f -- "$drydock_new"' EXIT
trap 'exit 98' HUP INT TERM PIPE
umask 077
drydock_take_input "$drydock_new"
chmod "$drydock_mode" "$drydock_new" || exit 98
sync "$drydock_new" 2>/dev/null || :
mv -f -- "$drydock_new" "$1" || exit 98
drydock_ready
"""
)

EXISTS: Final = (
    BEGIN
    + ENTER
    + r"""
if [ -e "$1" ] || [ -L "$1" ]; then drydock_found=yes; else drydock_found=no; fi
drydock_ready
echo "$drydock_found"
"""
)

REMOVE: Final = (
    BEGIN
    + ENTER
    + r"""
LC_ALL=C
export LC_ALL
drydock_home=$(pwd -P)
if cd -P -- "$2" 2>/dev/null; then
    case $(pwd -P)/ in
        "${drydock_home%/}"/*) ;;
        *) drydock_fail 98 "it is not inside $drydock_directory" ;;
    esac
    if ! rm -rf -- "./$3" 2>/dev/null; then
        chmod -R u+rwX -- "./$3" 2>/dev/null
        rm -rf -- "./$3" || exit 98
    fi
fi
drydock_ready
"""
)

END_GROUP: Final = (
    BEGIN
    + r"""
kill -s KILL -- "-$1" 2>/dev/null
drydock_ready
"""
)
