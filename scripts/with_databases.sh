#!/usr/bin/env bash
# Run a command beside a real PostgreSQL and a real MariaDB server.
#
#     scripts/with_databases.sh COMMAND [ARGUMENT...]
#
# Both servers live in a temporary directory, on free ports of 127.0.0.1, with one empty database
# each, and are stopped when the command ends, however it ends. The command finds them in
# DRYDOCK_TEST_POSTGRESQL and DRYDOCK_TEST_MARIADB, as SQLAlchemy URLs of users who may do anything.
# The exit status is the command's.
#
# Durability is turned off: nobody needs the data after the machine lost power.
set -euo pipefail
# shellcheck source=scripts/debian_packages.sh
source "$(dirname "${BASH_SOURCE[0]}")/debian_packages.sh"

readonly DATABASE=drydock_test
readonly PATIENCE=120 # seconds for a server to come up

# --- the programs ------------------------------------------------------------------------------

# Print the directory of PostgreSQL's server programs, the newest if there are several.
postgresql_programs() {
    local directory
    for directory in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort --version-sort --reverse) \
        "$(pg_config --bindir 2> /dev/null)"; do
        if [ -x "$directory/initdb" ] && [ -x "$directory/postgres" ]; then
            echo "$directory"
            return
        fi
    done
    dirname "$(command -v initdb)" 2> /dev/null
}

mariadb_is_complete() {
    command -v mariadbd && command -v mariadb && command -v mariadb-install-db
} > /dev/null

missing_packages() {
    [ -n "$(postgresql_programs)" ] || echo postgresql
    mariadb_is_complete || echo mariadb-server
}

# --- the servers -------------------------------------------------------------------------------

# Replace this shell by a command, as USER if we are root (PostgreSQL refuses to be root), out of
# the reach of a terminal's Ctrl-C. Should this script be killed, the kernel sends SIGNAL.
exec_as() {
    local user=$1 signal=$2
    shift 2
    local setpriv=(setpriv --pdeathsig "$signal")
    if [ "$(id -u)" = 0 ]; then
        setpriv+=(--reuid "$user" --regid "$(id -g "$user")" --init-groups)
    fi
    exec setsid "${setpriv[@]}" "$@"
}

as() { (exec_as "$@"); }

make_directory_for() {
    mkdir "$2"
    if [ "$(id -u)" = 0 ]; then chown "$1" "$2"; fi
}

# Start a server, on another port if somebody was faster: start_server NAME START ANSWERS
# START PORT becomes the server; ANSWERS PORT succeeds once it is up.
start_server() {
    local name=$1 start=$2 answers=$3 attempt
    for attempt in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 10000)) # below the ports that the kernel hands out
        (echo > "/dev/tcp/127.0.0.1/$port") 2> /dev/null && continue
        "$start" "$port" > "$work/$name.log" 2>&1 < /dev/null &
        local server=$!
        local deadline=$((SECONDS + PATIENCE))
        while kill -0 "$server" 2> /dev/null && [ $SECONDS -lt $deadline ]; do
            if "$answers" "$port" > /dev/null 2>&1; then
                servers+=("$server")
                say "$name is up on port $port"
                return
            fi
            sleep 0.1
        done
        stop "$server"
        say "$name did not come up on port $port (attempt $attempt)"
    done
    tail -n 30 "$work/$name.log" >&2
    fail "$name does not start; see above"
}

stop() {
    # INT asks PostgreSQL not to wait for its clients. MariaDB is deaf to it, and listens to TERM.
    kill -INT "$1" 2> /dev/null || true
    kill -TERM "$1" 2> /dev/null || true
    local deadline=$((SECONDS + PATIENCE))
    while kill -0 "$1" 2> /dev/null && [ $SECONDS -lt $deadline ]; do
        sleep 0.1
    done
    kill -KILL "$1" 2> /dev/null || true
    wait "$1" 2> /dev/null || true
}

init_postgresql() {
    make_directory_for postgres "$work/postgresql"
    as postgres TERM "$postgresql/initdb" -D "$work/postgresql/data" -U drydock --auth=trust \
        --no-sync -E UTF8 --locale=C.UTF-8 > "$work/postgresql-init.log" 2>&1 ||
        { cat "$work/postgresql-init.log" >&2; fail "initdb failed; see above"; }
}

start_postgresql() {
    exec_as postgres INT "$postgresql/postgres" -D "$work/postgresql/data" -p "$1" \
        -k "$work/postgresql" -c listen_addresses=127.0.0.1 \
        -c fsync=off -c synchronous_commit=off -c full_page_writes=off
}

in_postgresql() { "$postgresql/psql" -h 127.0.0.1 -p "$1" -U drydock -d postgres -qc "$2"; }
postgresql_answers() { in_postgresql "$1" "SELECT 1"; }

init_mariadb() {
    make_directory_for mysql "$work/mariadb"
    as mysql TERM mariadb-install-db --no-defaults --datadir="$work/mariadb/data" \
        --auth-root-authentication-method=normal --skip-test-db > "$work/mariadb-init.log" 2>&1 ||
        { cat "$work/mariadb-init.log" >&2; fail "mariadb-install-db failed; see above"; }
}

start_mariadb() {
    exec_as mysql TERM mariadbd --no-defaults --datadir="$work/mariadb/data" --port="$1" \
        --socket="$work/mariadb/socket" --pid-file="$work/mariadb/pid" --bind-address=127.0.0.1 \
        --skip-log-bin --character-set-server=utf8mb4 --innodb-flush-log-at-trx-commit=0
}

in_mariadb() {
    mariadb --no-defaults --socket="$work/mariadb/socket" -u root -e "$1"
}
mariadb_answers() { in_mariadb "SELECT 1"; }

stop_everything() {
    local server
    for server in "${servers[@]}"; do stop "$server"; done
    rm -rf "$work"
}

# --- the run -----------------------------------------------------------------------------------

[ $# -gt 0 ] || fail "usage: scripts/with_databases.sh COMMAND [ARGUMENT...]"
PATH=$PATH:/usr/sbin:/usr/local/sbin
command -v setpriv > /dev/null && command -v setsid > /dev/null ||
    fail "missing: setpriv and setsid, of util-linux"

servers=()
work=$(mktemp -d "${TMPDIR:-/tmp}/drydock-databases.XXXXXX")
chmod 755 "$work" # the servers' users have to get through
trap stop_everything EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

install_missing
postgresql=$(postgresql_programs)

init_postgresql
start_server postgresql start_postgresql postgresql_answers
in_postgresql "$port" "CREATE DATABASE $DATABASE"
export DRYDOCK_TEST_POSTGRESQL="postgresql+psycopg://drydock@127.0.0.1:$port/$DATABASE"

init_mariadb
start_server mariadb start_mariadb mariadb_answers
in_mariadb "CREATE DATABASE $DATABASE CHARACTER SET utf8mb4;
    CREATE USER drydock@'127.0.0.1' IDENTIFIED BY 'drydock';
    CREATE USER drydock@localhost IDENTIFIED BY 'drydock';
    GRANT ALL ON *.* TO drydock@'127.0.0.1' WITH GRANT OPTION;
    GRANT ALL ON *.* TO drydock@localhost WITH GRANT OPTION;"
# No character set: Buildbot adds its own, and refuses an address that names another.
export DRYDOCK_TEST_MARIADB="mysql+pymysql://drydock:drydock@127.0.0.1:$port/$DATABASE"

"$@"
