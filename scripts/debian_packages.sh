# Sourced by the scripts that run a command beside real parts: how they speak, and how they get the
# Debian packages they need. Which of these are not there is told, one a line, by a function of the
# script that sources this: missing_packages.
# shellcheck shell=bash

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; }
fail() {
    say "$@"
    exit 1
}

# Install what is missing, or end the script and say what is.
install_missing() {
    local missing log
    missing=$(missing_packages | xargs)
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
        fail "missing: $missing. Install them (Debian, as root: apt-get install $missing); no" \
            "service need run"
    fi
    say "installing $missing"
    # Services that the packages try to start are no use here, and may not be able to start.
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    local apt=(apt-get -q -o DPkg::Lock::Timeout=600 -o Acquire::Retries=5)
    log=$(mktemp)
    # shellcheck disable=SC2086
    if ! { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends $missing; } \
        > "$log" 2>&1 < /dev/null; then
        tail -n 30 "$log" >&2
    fi
    rm -f "$log"
    [ -z "$(missing_packages)" ] ||
        fail "cannot install $(missing_packages | xargs); see above"
}
