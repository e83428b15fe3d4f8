"""The scripts that start, find and end processes by a mark in their environment.

Where there is ``/proc``, one ``grep`` looks through all environments. Elsewhere ``ps`` shows them;
macOS hides those of its own programs, such as ``/bin/sleep``, but not those of others.
"""

from __future__ import annotations

from typing import Final

from buildbot_drydock.remote.shell.scripts import (
    BEGIN,
    ENTER,
    ENTER_WORK,
    FOUND_DIRECTORY,
    TAKE_INPUT,
)

# The environment ends each variable with a null character, so a mark is matched as a whole. A grep
# that can't do that has to be given the variables as lines, process by process. A process that is
# just becoming another program shows no environment, so what is not found is looked for once more.
_FIND: Final = r"""
drydock_proc() {
    [ -r /proc/self/environ ]
}
drydock_exactly() {
    LC_ALL=C grep -slzxF -e "$drydock_mark" /proc/[0-9]*/environ
}
drydock_bearers() {
    drydock_exact=$(drydock_exactly)
    [ -n "$drydock_exact" ] || drydock_exact=$(drydock_exactly)
    if [ -z "$drydock_exact" ] && ! printf 'a\000b\000' | grep -qzxF -e b; then
        for drydock_file in /proc/[0-9]*/environ; do
            if [ -r "$drydock_file" ] &&
                tr '\000' '\n' <"$drydock_file" | grep -qxF -e "$drydock_mark"; then
                drydock_exact="$drydock_exact $drydock_file"
            fi
        done
    fi
    for drydock_file in $drydock_exact; do
        drydock_file=${drydock_file#/proc/}
        printf '%s ' "${drydock_file%/environ}"
    done
} 2>/dev/null

# One line per process: its number, parent, group, session, state, start, and whether it bears the
# mark. A start tells a process from a later one of the same number; ps has none that is short.
drydock_table_of_proc() {
    cat /proc/[0-9]*/stat 2>/dev/null | drydock_bearing=$1 awk '
        BEGIN { count = split(ENVIRON["drydock_bearing"], each, " ")
                for (i = 1; i <= count; i++) bears[each[i]] = 1 }
        /^[0-9]+ \(.*\) / {
            number = $1
            sub(/^.*\) /, "")
            print number, $2, $3, $4, $1, $20, (number in bears) + 0
        }'
}
drydock_table_of_ps() {
    case $(uname) in
        Darwin) ps -axEww -o pid=,ppid=,pgid=,stat=,command= ;;
        *) ps axeww -o pid=,ppid=,pgid=,stat=,args= ;;
    esac | drydock_sought=$drydock_mark awk '
        { print $1, $2, $3, 0, substr($4, 1, 1), 0,
            (index($0 " ", " " ENVIRON["drydock_sought"] " ") > 0) + 0 }'
}

# Bearers, those known from an earlier look, all that descend from them, and the sessions they lead
# or were left in; but never this script or what it descends from. NUMBER:START:LEADS for each.
drydock_closure() {
    drydock_known=$1 drydock_self=$$ awk '
        { parent[$1] = $2; group[$1] = $3; session[$1] = $4; state[$1] = $5; start[$1] = $6
          if ($7) marked[$1] = 1 }
        function add(process) {
            if (process in found || process in spared || !(process in parent)) return
            found[process] = 1; changed = 1
        }
        END {
            for (p = ENVIRON["drydock_self"]; p > 0 && !(p in spared); p = parent[p]) {
                spared[p] = 1; sessions_spared[session[p]] = 1
            }
            count = split(ENVIRON["drydock_known"], known, " ")
            for (i = 1; i <= count; i++) {
                split(known[i], one, ":")
                if ((one[1] in start) && start[one[1]] == one[2]) marked[one[1]] = 1
            }
            for (p in marked) if (p > 1) add(p)
            while (changed) {
                changed = 0
                split("", led)
                for (p in found) {
                    s = session[p]
                    if (s > 0 && !(s in sessions_spared) && ((s in found) || !(s in parent)))
                        led[s] = 1
                }
                for (p in parent) if ((parent[p] in found) || (session[p] in led)) add(p)
            }
            for (p in found) if (state[p] !~ /[ZXx]/)
                printf "%s:%s:%s ", p, start[p], (group[p] == p) + 0
        }'
}
drydock_look() {
    if drydock_proc; then
        drydock_bearing=$(drydock_bearers)
        if [ -z "$drydock_bearing$drydock_left" ]; then return; fi
        drydock_left=$(drydock_table_of_proc "$drydock_bearing" | drydock_closure "$drydock_left")
    else
        drydock_left=$(drydock_table_of_ps | drydock_closure "$drydock_left")
    fi
}
drydock_runs() {
    if drydock_proc; then
        [ -n "$(drydock_bearers)" ]
    else
        drydock_left=
        drydock_look
        [ -n "$drydock_left" ]
    fi
}
"""

RUNNING: Final = (
    BEGIN
    + _FIND
    + r"""
if drydock_runs; then drydock_found=yes; else drydock_found=no; fi
drydock_ready
echo "$drydock_found"
"""
)

# The lock makes a look and a start one step. With flock, what is started holds it as well, until it
# bears its mark, so whoever dies in between leaves no gap. Without, the lock is a link that names
# its holder, and one whose holder is gone is taken away under a second lock.
_LOCK: Final = r"""
drydock_busy() {
    drydock_turns=$((drydock_turns + 1))
    [ "$drydock_turns" -lt 200 ] || drydock_fail 98 "another process has held \
$drydock_directory/.drydock-start.lock for too long; see whether a master hangs, or remove it"
    drydock_pause
}
drydock_lock_by_link() {
    drydock_lock=.drydock-start.link
    until ln -s "$$" "$drydock_lock" 2>/dev/null; do
        drydock_holder=$(readlink "$drydock_lock")
        if [ -n "$drydock_holder" ] && ! kill -s 0 "$drydock_holder" 2>/dev/null &&
            ln -s "$$" "$drydock_lock.old" 2>/dev/null; then
            [ "$(readlink "$drydock_lock")" != "$drydock_holder" ] || rm -f "$drydock_lock"
            rm -f "$drydock_lock.old"
        else
            drydock_busy
        fi
    done
    trap 'rm -f "$drydock_lock"' EXIT
    trap 'exit 98' HUP INT TERM PIPE
}
drydock_lock() {
    drydock_turns=0
    umask 077
    if command -v flock >/dev/null 2>&1; then
        true >>.drydock-start.lock || exit 98
        exec 9>>.drydock-start.lock
        until flock -n 9 9>&9; do drydock_busy; done
    else
        drydock_lock_by_link
        exec 9>/dev/null
    fi
}
"""

# A start may be under way, and arrive long after: so what is stopped is noted, in an empty file for
# each mark, until no start can be under way any more. If the note finds no space on the disk, a start
# is not likely to, either. A pause is a twentieth of a second, and a look takes its time as well.
STOP: Final = (
    BEGIN
    + _FIND
    + _LOCK
    + r"""
LC_ALL=C
export LC_ALL
if [ -n "$drydock_note" ] && cd -- "$drydock_directory" 2>/dev/null; then
    drydock_said=$(
        exec 2>&1
        drydock_lock
        mkdir -p .drydock-stopped && true >".drydock-stopped/$drydock_note" || exit 98
        find .drydock-stopped -type f -mtime +7 -exec rm -f {} + 9>&-
    ) || case $drydock_said in
        *"No space left"* | *[Qq]uota*) ;;
        *) [ ! -d "$drydock_directory" ] || drydock_fail 98 "$drydock_said" ;;
    esac
    cd /
fi
drydock_signal() {
    drydock_leaders=
    drydock_all=
    for drydock_each in $drydock_left; do
        drydock_all="$drydock_all ${drydock_each%%:*}"
        case $drydock_each in *:1) drydock_leaders="$drydock_leaders ${drydock_each%%:*}" ;; esac
    done
    if [ "$1" = TERM ]; then drydock_all=${drydock_leaders:-$drydock_all}; fi
    kill -s "$1" $drydock_all 2>/dev/null
}
drydock_wait() {
    drydock_turns=$1
    while drydock_look; [ -n "$drydock_left" ] && [ "$drydock_turns" -gt 0 ]; do
        drydock_turns=$((drydock_turns - 1))
        drydock_pause
    done
}
drydock_left=
drydock_look
if [ -n "$drydock_left" ]; then
    drydock_signal TERM
    drydock_wait "$drydock_grace"
    drydock_kills=100
    while [ -n "$drydock_left" ] && [ "$drydock_kills" -gt 0 ]; do
        drydock_kills=$((drydock_kills - 1))
        drydock_signal KILL
        drydock_wait 2
    done
fi
if [ -n "$drydock_left" ]; then
    drydock_numbers=
    for drydock_each in $drydock_left; do
        drydock_numbers="$drydock_numbers${drydock_numbers:+, }${drydock_each%%:*}"
    done
    drydock_fail 98 "processes $drydock_numbers, marked $drydock_mark, are still there after they \
were killed; look for what they wait for, such as a file server that does not answer"
fi
drydock_ready
"""
)

_LOCK_FOR_START: Final = r"""
drydock_umask=$(umask)
drydock_lock
for drydock_note in $drydock_notes; do
    [ ! -e ".drydock-stopped/$drydock_note" ] ||
        drydock_fail 98 "${drydock_mark#*=} was stopped before"
done
drydock_left=
"""

_TAKE_FILE: Final = (
    TAKE_INPUT
    + r"""
drydock_take_file() (
    LC_ALL=C
    export LC_ALL
    (umask "$drydock_umask" && mkdir -p -- "$drydock_file_directory") || exit 98
    [ ! -d "$drydock_file" ] || drydock_fail 98 "$drydock_file: Is a directory"
    drydock_new=$drydock_file_directory/.drydock-new-$$
    trap 'rm -f -- "$drydock_new"' EXIT
    trap 'exit 98' HUP INT TERM PIPE
    drydock_take_input "$drydock_new"
    mv -f -- "$drydock_new" "$drydock_file" || exit 98
)
if [ -n "$drydock_file" ]; then drydock_take_file || exit; fi
"""
)

# The start is over when what was started bears its mark: only then does it let go of the pipe that
# the script waits at.
_LAUNCH: Final = r"""
drydock_session=$(command -v setsid)
drydock_launch() {
    drydock_said=$(
        eval "$drydock_environment"
        command -v "$1" >/dev/null || { echo "$1: not found" >&2; exit 98; }
        [ -n "$drydock_session" ] || set -m 2>/dev/null
        $drydock_session /bin/sh -c '
            drydock_log=$1
            exec <>"$2" >>"$drydock_log" 2>&1 9>&-
            shift 2
            unset drydock_log
            exec "$@"
        ' drydock "$drydock_log" "$drydock_input" "$@" 2>&1 &
    ) || exit 98
    [ -z "$drydock_said" ] || drydock_fail 98 "$drydock_said"
}
"""

# What stands by reads its orders from a named pipe, in lines: the working directory, the log and
# the tag. It gives the pipe its name, as nobody sees the mark of a process that is being replaced
# by a program; from then on it bears a mark of its own, until it has its orders, and then the one
# that it is started with. Whoever opens the pipe removes it, so it is used once. What does not obey
# is ended, and another process started.
_STANDBY: Final = r"""
drydock_orders=$PWD/.drydock-standby-$drydock_standby
drydock_stands_by() (
    drydock_mark=$drydock_standby_mark
    drydock_runs
)
drydock_end_standby() (
    drydock_mark=$drydock_standby_mark
    kill -s KILL $(drydock_bearers) 2>/dev/null
)
drydock_obeys() {
    drydock_turns=0
    until drydock_runs; do
        drydock_turns=$((drydock_turns + 1))
        [ "$drydock_turns" -lt 100 ] || return 1
        drydock_stands_by || { drydock_runs; return; }
        [ "$drydock_turns" -lt 5 ] || drydock_pause
    done
}
drydock_hand_over() {
    [ -n "$drydock_standby" ] && [ -p "$drydock_orders" ] || return 1
    exec 8<>"$drydock_orders"
    rm -f "$drydock_orders"
    printf '%s\n' "$PWD" "$drydock_log" "${drydock_mark#*=}" >&8
    exec 8>&-
    drydock_obeys || { drydock_end_standby; drydock_runs; }
}
"""

# Whoever gave up waiting has closed the channel: then saying that all is ready ends the script,
# before it starts what nobody expects any more.
START: Final = (
    BEGIN
    + ENTER
    + _FIND
    + _LOCK
    + _LOCK_FOR_START
    + r"""
if drydock_runs; then
    drydock_ready
    exit 0
fi
"""
    + _STANDBY
    + _TAKE_FILE
    + ENTER_WORK
    + r"""
if [ -n "$drydock_log" ]; then
    (umask "$drydock_umask" && mkdir -p -- "$drydock_log_directory") || exit 98
    true >>"$drydock_log" || exit 98
else
    drydock_log=/dev/null
fi
umask "$drydock_umask"
"""
    + _LAUNCH
    + r"""
drydock_ready || exit 98
if drydock_hand_over; then exit 0; fi
drydock_input=/dev/null
drydock_launch "$@"
"""
)

# It makes the host's directory first. That nothing can stand by is no failure: it only spares time.
STAND_BY: Final = (
    BEGIN
    + FOUND_DIRECTORY
    + ENTER
    + _FIND
    + _LOCK
    + _LOCK_FOR_START
    + _STANDBY
    + r"""
if drydock_stands_by; then
    if [ -p "$drydock_orders" ] || [ -p "$drydock_orders.new" ]; then
        drydock_ready
        exit 0
    fi
    drydock_end_standby
fi
"""
    + _LAUNCH
    + r"""
drydock_ready || exit 98
rm -f "$drydock_orders" "$drydock_orders.new"
mkfifo "$drydock_orders.new" || exit 0
umask "$drydock_umask"
drydock_log=/dev/null
drydock_input=$drydock_orders.new
drydock_launch "$@"
"""
)
