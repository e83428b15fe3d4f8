#!/usr/bin/env bash
# Run a command that drives a real browser.
#
#     scripts/with_browser.sh COMMAND [ARGUMENT...]
#
# The browser is Chromium, as Debian packages it; Playwright's own download is not needed. The command
# finds its path in DRYDOCK_TEST_CHROMIUM. As root on Debian what is missing is installed; elsewhere
# it is said what to install. The exit status is the command's.
set -euo pipefail

say() { printf 'with_browser: %s\n' "$*" >&2; }
fail() {
    say "$@"
    exit 1
}

path_of_chromium() { type -P chromium || type -P chromium-browser; }

missing_packages() {
    path_of_chromium > /dev/null || echo chromium
    # Without a font of its own, a picture would show boxes for text.
    fc-list 2> /dev/null | grep -q DejaVu || echo fontconfig fonts-dejavu-core
}

install_missing() {
    local missing log
    missing=$(missing_packages | xargs)
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
        fail "missing: $missing. Install them (Debian, as root: apt-get install $missing)"
    fi
    say "installing $missing"
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    local apt=(apt-get -q -o DPkg::Lock::Timeout=600)
    # shellcheck disable=SC2086
    if ! { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends $missing; } \
        > "$log" 2>&1 < /dev/null; then
        tail -n 30 "$log" >&2
    fi
    rm -f "$log"
    [ -z "$(missing_packages)" ] || fail "cannot install $missing; see above"
}

[ $# -gt 0 ] || fail "usage: scripts/with_browser.sh COMMAND [ARGUMENT...]"
install_missing
DRYDOCK_TEST_CHROMIUM=$(path_of_chromium)
export DRYDOCK_TEST_CHROMIUM
exec "$@"
