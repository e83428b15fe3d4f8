#!/usr/bin/env bash
# Make a virtual environment, or say exactly what is missing.
#
#     scripts/make_venv.sh PYTHON DIRECTORY
#
# A directory that is one already, of the same Python, is kept.
set -euo pipefail

python=$1
directory=$2

fail() {
    printf 'error: %s\n' "$@" >&2
    exit 1
}

command -v "$python" > /dev/null ||
    fail "there is no $python here" \
        "install Python 3.10 or newer (Debian: apt-get install python3 python3-venv), or name one: make PYTHON=/path/to/python3"

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "$python is Python $version, and Drydock needs 3.10 or newer" \
        "name a newer one: make PYTHON=/path/to/python3"

"$python" -c 'import ensurepip, venv' 2> /dev/null ||
    fail "$python ($version) has no venv and ensurepip, so it cannot make a virtual environment" \
        "Debian and Ubuntu: apt-get install python${version}-venv (or python3-venv)"

built_with=$("$directory/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null || true)
if [ "$built_with" != "$version" ] || ! "$directory/bin/python" -m pip --version > /dev/null 2>&1; then
    "$python" -m venv --clear "$directory"
fi
