#!/usr/bin/env bash
# Run a command beside a Docker engine and a Podman service of its own.
#
#     scripts/with_docker.sh COMMAND [ARGUMENT...]
#
# Both have an image of Debian with Python, git and buildbot-worker, made from the machine's own
# mirror and kept in ~/.cache/buildbot-drydock, and one with nothing but busybox. No registry is
# needed, and none can be reached by accident. All is taken down when the command ends, however it
# ends.
#
# The command finds them in the JSON file that DRYDOCK_TEST_ENGINES names; tests/containers.py reads
# it. Needs root, and installs what is missing on Debian. The exit status is the command's.
set -euo pipefail
# shellcheck source=scripts/debian_packages.sh
source "$(dirname "${BASH_SOURCE[0]}")/debian_packages.sh"
# shellcheck source=scripts/debian_images.sh
source "$(dirname "${BASH_SOURCE[0]}")/debian_images.sh"

readonly PATIENCE=120 # seconds for a server to come up
readonly CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/buildbot-drydock
readonly IMAGE=drydock/debian:1
readonly SMALL_IMAGE=drydock/busybox:1

# --- the programs ------------------------------------------------------------------------------

missing_packages() {
    command -v dockerd > /dev/null || echo docker.io
    command -v containerd > /dev/null || echo containerd
    command -v docker-init > /dev/null || echo tini
    command -v podman > /dev/null || echo podman
    command -v catatonit > /dev/null || echo catatonit
    command -v runc > /dev/null || echo runc
    command -v iptables > /dev/null || echo iptables
    command -v openssl > /dev/null || echo openssl
    command -v mmdebstrap > /dev/null || echo mmdebstrap
    # It has to run in an image with nothing else.
    { [ -x /bin/busybox ] && ! ldd /bin/busybox > /dev/null 2>&1; } || echo busybox-static
}

# --- the images --------------------------------------------------------------------------------

load_images() {
    local url=$1
    docker -H "$url" import "$archive" "$IMAGE" > /dev/null
    docker -H "$url" import "$work/small.tar" "$SMALL_IMAGE" > /dev/null
}

# --- the engines -------------------------------------------------------------------------------

# What an engine over TCP shows, and what its users do.
make_certificates() {
    mkdir "$work/tls"
    (
        cd "$work/tls"
        new() { openssl req -newkey rsa:2048 -nodes -keyout "$1.pem" -subj "/CN=$2" "${@:3}"; }
        new ca-key drydock-test-authority -x509 -days 2 -out ca.pem
        new server-key localhost -out server.csr
        new key drydock-test-master -out client.csr
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' > server.ext
        printf 'extendedKeyUsage=clientAuth\n' > client.ext
        sign() {
            openssl x509 -req -days 2 -in "$1.csr" -CA ca.pem -CAkey ca-key.pem -CAcreateserial \
                -extfile "$1.ext" -out "$2.pem"
        }
        sign server server-cert
        sign client cert
    ) > "$work/tls.log" 2>&1 < /dev/null || {
        cat "$work/tls.log" >&2
        fail "cannot make certificates"
    }
}

free_port() {
    local port
    for _ in $(seq 20); do
        port=$((RANDOM % 20000 + 20000))
        if ! (echo > "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then
            echo "$port"
            return
        fi
    done
    fail "no free port"
}

# Each script starts a server, in the background, and returns once it answers.
write_starts() {
    local files
    files=$(ulimit -Hn) # root may not raise it everywhere
    [ "$files" != unlimited ] || files=1048576
    cat > "$work/await.sh" <<- 'AWAIT'
		#!/bin/bash
		# await.sh URL LOG: return once an engine answers.
		deadline=$((SECONDS + PATIENCE))
		until docker -H "$1" version > /dev/null 2>&1; do
		    if [ $SECONDS -ge $deadline ]; then
		        tail -n 30 "$2" >&2
		        exit 1
		    fi
		    sleep 0.1
		done
	AWAIT
    sed -i "s/PATIENCE/$PATIENCE/" "$work/await.sh"
    cat > "$work/containerd.toml" <<- TOML
		version = 2
		root = "$work/containerd/root"
		state = "$work/containerd/state"
		disabled_plugins = ["io.containerd.grpc.v1.cri"]
		[grpc]
		  address = "$work/containerd.sock"
	TOML
    cat > "$work/start_containerd.sh" <<- START
		#!/bin/bash
		cd "$work" || exit 1 # whoever starts it may take its own directory away
		setsid containerd --config "$work/containerd.toml" >> "$work/containerd.log" 2>&1 < /dev/null &
		echo \$! > "$work/containerd.pid"
		until [ -S "$work/containerd.sock" ]; do sleep 0.05; done
	START
    cat > "$work/start_docker.sh" <<- START
		#!/bin/bash
		cd "$work" || exit 1 # whoever starts it may take its own directory away
		rm -f "$work/dockerd.pid"
		setsid dockerd --data-root "$work/docker" --exec-root "$work/docker-exec" \\
		    --pidfile "$work/dockerd.pid" --containerd "$work/containerd.sock" \\
		    -H "unix://$work/docker.sock" -H "tcp://127.0.0.1:$port" \\
		    --tlsverify --tlscacert "$work/tls/ca.pem" \\
		    --tlscert "$work/tls/server-cert.pem" --tlskey "$work/tls/server-key.pem" \\
		    --exec-opt native.cgroupdriver=cgroupfs --default-ulimit nofile=$files:$files \\
		    --iptables=false --bridge=none >> "$work/docker.log" 2>&1 < /dev/null &
		echo \$! > "$work/docker.pid"
		exec "$work/await.sh" "unix://$work/docker.sock" "$work/docker.log"
	START
    cat > "$work/containers.conf" <<- CONF
		[containers]
		default_ulimits = ["nofile=$files:$files", "nproc=4096:4096"]
		[engine]
		runtime = "runc"
		cgroup_manager = "cgroupfs"
		events_logger = "file"
	CONF
    cat > "$work/podman.sh" <<- PODMAN
		#!/bin/bash
		export CONTAINERS_CONF="$work/containers.conf"
		exec podman --root "$work/podman" --runroot "$work/podman-run" --tmpdir "$work/podman-tmp" "\$@"
	PODMAN
    cat > "$work/start_podman.sh" <<- START
		#!/bin/bash
		cd "$work" || exit 1 # whoever starts it may take its own directory away
		rm -f "$work/podman.sock"
		setsid "$work/podman.sh" system service --time=0 "unix://$work/podman.sock" \\
		    >> "$work/podman.log" 2>&1 < /dev/null &
		echo \$! > "$work/podman.pid"
		exec "$work/await.sh" "unix://$work/podman.sock" "$work/podman.log"
	START
    chmod +x "$work"/*.sh
}

describe() {
    cat > "$work/engines.json" <<- JSON
		[
		  {
		    "kind": "docker", "url": "unix://$work/docker.sock",
		    "image": "$IMAGE", "small_image": "$SMALL_IMAGE",
		    "server": "$work/docker.pid", "start_script": "$work/start_docker.sh",
		    "tls_url": "tcp://localhost:$port", "certificates": "$work/tls"
		  },
		  {
		    "kind": "podman", "url": "unix://$work/podman.sock",
		    "image": "$IMAGE", "small_image": "$SMALL_IMAGE",
		    "server": "$work/podman.pid", "start_script": "$work/start_podman.sh"
		  }
		]
	JSON
}

# --- the run -----------------------------------------------------------------------------------

is_running() {
    local state
    state=$(sed -n 's/^State:\s*//p' "/proc/$1/status" 2> /dev/null) && [ -n "$state" ] &&
        [[ $state != Z* ]] # nobody may bury what was killed for a while
}

# End a server: end NAME SIGNAL
end() {
    local number deadline=$((SECONDS + PATIENCE))
    number=$(cat "$work/$1.pid" 2> /dev/null) || return 0
    kill -CONT "$number" 2> /dev/null || true
    kill "-$2" "$number" 2> /dev/null || return 0
    while is_running "$number"; do
        if [ $SECONDS -ge $deadline ]; then
            kill -KILL "$number" 2> /dev/null || true
            return 0
        fi
        sleep 0.05
    done
}

# Podman leaves a process behind for minutes for each command that was run in a container. At its end
# it would begin the service's directories anew.
end_monitors() {
    local each
    for each in /proc/[0-9]*; do
        if [ "$(cat "$each/comm" 2> /dev/null)" = conmon ] &&
            grep -qzF "$work/podman/" "$each/cmdline" 2> /dev/null; then
            kill -KILL "${each#/proc/}" 2> /dev/null || true
        fi
    done
}

take_down() {
    trap '' INT TERM HUP # once is enough, and half of it is not
    local left
    if [ -S "$work/docker.sock" ]; then
        left=$(timeout 20 docker -H "unix://$work/docker.sock" ps -aq 2> /dev/null) || true
        # shellcheck disable=SC2086
        [ -z "$left" ] || timeout 60 docker -H "unix://$work/docker.sock" rm -fv $left > /dev/null 2>&1 || true
    fi
    if [ -x "$work/podman.sh" ]; then
        timeout 60 "$work/podman.sh" rm --all --force --time 0 > /dev/null 2>&1 || true
    fi
    end docker TERM
    end podman KILL
    end_monitors
    end containerd TERM
    grep -oE " $work/[^ ]+" /proc/self/mounts | sort -r | xargs -r -n 1 umount -l 2> /dev/null || true
    rm -rf "$work" || { sleep 1 && rm -rf "$work"; }
}

[ $# -gt 0 ] || fail "usage: scripts/with_docker.sh COMMAND [ARGUMENT...]"
[ "$(id -u)" = 0 ] || fail "this starts container engines, and has to be run as root"
PATH=$PATH:/usr/sbin:/usr/local/sbin:/sbin

work=$(mktemp -d "${TMPDIR:-/tmp}/drydock-docker.XXXXXX")
chmod 755 "$work"
trap take_down EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

install_missing
make_archive
make_certificates
port=$(free_port)
write_starts
"$work/start_containerd.sh"
"$work/start_docker.sh" || fail "the Docker engine does not start; see above"
"$work/start_podman.sh" || fail "the Podman service does not start; see above"
load_images "unix://$work/docker.sock"
load_images "unix://$work/podman.sock"
describe
say "a Docker engine and a Podman service are up"

DRYDOCK_TEST_ENGINES=$work/engines.json "$@"
