#!/usr/bin/env bash
# Run a command that drives a real browser.
#
#     scripts/with_browser.sh COMMAND [ARGUMENT...]
#
# The browser is Chromium, as Debian packages it; Playwright's own download is not needed. The command
# finds its path in DRYDOCK_TEST_CHROMIUM. As root on Debian what is missing is installed; elsewhere
# it is said what to install. The exit status is the command's.
set -euo pipefail
# shellcheck source=scripts/debian_packages.sh
source "$(dirname "${BASH_SOURCE[0]}")/debian_packages.sh"

path_of_chromium() { type -P chromium || type -P chromium-browser; }

missing_packages() {
    path_of_chromium > /dev/null || echo chromium
    # Without a font of its own, a picture would show boxes for text.
    fc-list 2> /dev/null | grep DejaVu > /dev/null || echo fontconfig fonts-dejavu-core
}

[ $# -gt 0 ] || fail "usage: scripts/with_browser.sh COMMAND [ARGUMENT...]"
install_missing
DRYDOCK_TEST_CHROMIUM=$(path_of_chromium)
export DRYDOCK_TEST_CHROMIUM
exec "$@"
