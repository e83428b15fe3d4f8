#!/usr/bin/env bash
# Run a command beside a few machines that are reached over SSH.
#
#     scripts/with_ssh_hosts.sh COMMAND [ARGUMENT...]
#
# Each machine is a network namespace with its own address, hostname, processes, user and OpenSSH
# server with its own host key; DRYDOCK_TEST_SSH_HOSTS_COUNT says how many (3). Each has its own
# /home, /tmp and /run. They are taken down when the command ends, however it ends.
#
# The command finds them in the JSON file that DRYDOCK_TEST_SSH_HOSTS names; tests/ssh_hosts.py reads
# it. Needs root, and installs what is missing on Debian. The exit status is the command's.
set -euo pipefail
# shellcheck source=scripts/debian_packages.sh
source "$(dirname "${BASH_SOURCE[0]}")/debian_packages.sh"

readonly PATIENCE=120 # seconds for a server to come up

# --- the programs ------------------------------------------------------------------------------

missing_packages() {
    command -v sshd > /dev/null && command -v ssh-keygen > /dev/null || echo openssh-server
    command -v ip > /dev/null || echo iproute2
    # One more shell that what is run on hosts has to be right in; tests/unit/test_ssm.py tries it.
    command -v busybox > /dev/null || echo busybox-static
}

# --- the network -------------------------------------------------------------------------------

# Choose a name and a subnet that no other run on this machine uses, by making its bridge.
make_bridge() {
    local attempt
    for attempt in 1 2 3 4 5 6 7 8 9 10; do
        number=$((RANDOM % 250 + 1))
        network=10.213.$number
        bridge=drydock$number
        if ! ip -o address | grep -F " $network." > /dev/null &&
            ip link add "$bridge" type bridge 2> "$work/network.log"; then
            bridges+=("$bridge")
            ip address add "$network.1/24" dev "$bridge"
            ip link set "$bridge" up
            return
        fi
    done
    cat "$work/network.log" >&2
    fail "cannot make a network bridge; this needs root, and a kernel with network namespaces"
}

# Connect a new namespace to the bridge: join NAMESPACE LINK ADDRESS
join() {
    ip netns add "$1"
    namespaces+=("$1")
    ip link add "$2" type veth peer name eth0 netns "$1"
    ip link set "$2" master "$bridge" up
    ip -n "$1" address add "$3/24" dev eth0
    ip -n "$1" link set eth0 up
    ip -n "$1" link set lo up
    ip -n "$1" route replace default via "$network.1"
}

# --- the machines ------------------------------------------------------------------------------

make_keys() {
    mkdir "$work/keys"
    ssh-keygen -q -t ed25519 -N '' -C drydock-test -f "$work/keys/id"
    ssh-keygen -q -t ed25519 -N '' -C drydock-test-authority -f "$work/keys/authority"
    : > "$work/keys/known_hosts"
    : > "$work/keys/certified_hosts"
}

# Make what a machine has on its disk: make_disk NAME USER ADDRESS
make_disk() {
    local directory=$work/$1
    mkdir -p "$directory/home/$2/.ssh" "$directory/run/sshd" "$directory/etc"
    mkdir -m 1777 "$directory/tmp"
    ssh-keygen -q -t ed25519 -N '' -C "$1" -f "$directory/etc/host_key"
    ssh-keygen -q -s "$work/keys/authority" -I "$1" -h -n "$1,$3" "$directory/etc/host_key.pub"
    cp "$work/keys/id.pub" "$directory/home/$2/.ssh/authorized_keys"
    cp /etc/skel/.[a-z]* "$directory/home/$2/" 2> /dev/null || true
    # With '!' for a password the server would call the account locked.
    useradd -M -d "/home/$2" -p '*' -s /bin/bash "$2"
    users+=("$2")
    chown -R "$2:" "$directory/home/$2"
    chmod -R go= "$directory/home/$2/.ssh"
    cat > "$directory/etc/sshd_config" <<- CONFIG
		Port 22
		ListenAddress $3
		ListenAddress 127.0.0.1
		HostKey /mnt/etc/host_key
		HostCertificate /mnt/etc/host_key-cert.pub
		PidFile /run/sshd.pid
		AuthorizedKeysFile .ssh/authorized_keys
		AllowUsers $2
		PasswordAuthentication no
		KbdInteractiveAuthentication no
		UsePAM no
		UseDNS no
		MaxStartups 100:30:200
		LogLevel VERBOSE
	CONFIG
    # Both with and without the certificate, for those who pin the key.
    cut -d' ' -f1,2 "$directory/etc/host_key.pub" | sed "s/^/$3 /" >> "$work/keys/known_hosts"
}

# Become the machine: be_machine NAME. Its first process waits for the others to end; if it is
# killed, all of them are, as if the power were cut. The servers of real machines have processors of
# their own, and do not compete with the tests.
write_machine() {
    cat > "$work/machine.sh" <<- 'MACHINE'
		#!/bin/bash
		# The first process of a machine: machine.sh DIRECTORY NAME
		mount --make-rprivate /
		mount --bind "$1" /mnt # the directory may be in /tmp, which is about to be another
		for each in home run tmp; do mount --bind "/mnt/$each" "/$each"; done
		for each in passwd shadow; do # it may have users of its own
		    if [ -e "/mnt/etc/$each" ]; then mount --bind "/mnt/etc/$each" "/etc/$each"; fi
		done
		hostname "$2"
		# A kernel of its own would tell each start of the machine from the others.
		cat /proc/sys/kernel/random/uuid > /mnt/etc/boot_id
		mount --bind /mnt/etc/boot_id /proc/sys/kernel/random/boot_id
		trap 'exit 0' TERM
		renice -n 19 -p $$ > /dev/null
		env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		    "$(command -v sshd)" -f /mnt/etc/sshd_config -E /mnt/sshd.log
		while :; do sleep 3600 & wait $!; done
	MACHINE
    chmod +x "$work/machine.sh"
}

# Print what a machine is, for the file that tests read: description NAME USER ADDRESS LINK
description() {
    cat <<- JSON
		{
		  "name": "$1",
		  "address": "$3",
		  "port": 22,
		  "user": "$2",
		  "home": "/home/$2",
		  "disk": "$work/$1",
		  "namespace": "$1",
		  "link": "$4",
		  "gateway": "$network.1",
		  "start": "$work/start_$1.sh",
		  "init": "$work/$1/init.pid",
		  "identity_file": "$work/keys/id",
		  "host_key": "$work/$1/etc/host_key",
		  "known_hosts": "$work/keys/known_hosts",
		  "authority": "$work/keys/authority"
		}
	JSON
}

# Write the script that switches a machine on: write_start NAME
write_start() {
    cat > "$work/start_$1.sh" <<- START
		#!/bin/bash
		# Switch the machine on, in the background. Its first process is in init.pid.
		rm -f "$work/$1/run/sshd.pid"
		setsid ip netns exec "$1" unshare --uts --mount --pid --fork --mount-proc --kill-child \\
		    "$work/machine.sh" "$work/$1" "$1" > "$work/$1/console.log" 2>&1 < /dev/null &
		echo \$! > "$work/$1/init.pid"
	START
    chmod +x "$work/start_$1.sh"
}

await_server() {
    local deadline=$((SECONDS + PATIENCE))
    until (echo > "/dev/tcp/$2/22") 2> /dev/null; do
        if [ $SECONDS -ge $deadline ]; then
            tail -n 30 "$work/$1/console.log" "$work/$1/sshd.log" >&2 || true
            fail "the SSH server of $1 does not start; see above"
        fi
        sleep 0.05
    done
}

make_machines() {
    local count=$1 index name user address
    local descriptions=()
    for index in $(seq "$count"); do
        name=drydock$number-host$index
        user=drydock$number-$index
        address=$network.$((10 + index))
        join "$name" "dd$number-$index" "$address"
        make_disk "$name" "$user" "$address"
        write_start "$name"
        names+=("$name")
        "$work/start_$name.sh"
        descriptions+=("$(description "$name" "$user" "$address" "dd$number-$index")")
    done
    for index in $(seq "$count"); do
        await_server "drydock$number-host$index" "$network.$((10 + index))"
    done
    local IFS=,
    printf '[%s]\n' "${descriptions[*]}" > "$work/hosts.json"
}

# Where the kernel shares processors out by session first, a low priority counts for nothing against
# what runs in other sessions, and each login begins one.
readonly AUTOGROUP=/proc/sys/kernel/sched_autogroup_enabled
share_by_priority() {
    autogroup=$(cat "$AUTOGROUP" 2> /dev/null) || return 0
    { echo 0 > "$AUTOGROUP"; } 2> /dev/null || autogroup=
}
share_as_before() {
    [ -z "$autogroup" ] || echo "$autogroup" > "$AUTOGROUP"
}

# --- the run -----------------------------------------------------------------------------------

# Return once nothing runs in a namespace any more: it could still write to what is to be removed.
empty() {
    local deadline=$((SECONDS + PATIENCE))
    while [ -n "$(ip netns pids "$1" 2> /dev/null)" ] && [ $SECONDS -lt $deadline ]; do
        ip netns pids "$1" 2> /dev/null | xargs -r kill -KILL 2> /dev/null || true
        sleep 0.05
    done
}

take_down() {
    trap '' INT TERM HUP # once is enough, and half of it is not
    share_as_before
    local each
    for each in "${names[@]}"; do
        # unshare takes the machine's first process, and so all others, with it.
        kill -KILL "$(cat "$work/$each/init.pid")" 2> /dev/null || true
    done
    for each in "${namespaces[@]}"; do
        empty "$each"
        ip netns delete "$each" 2> /dev/null || true
    done
    for each in "${bridges[@]}"; do ip link delete "$each" 2> /dev/null || true; done
    for each in "${users[@]}"; do userdel "$each" 2> /dev/null || true; done
    rm -rf "$work" || { sleep 1 && rm -rf "$work"; }
}

[ $# -gt 0 ] || fail "usage: scripts/with_ssh_hosts.sh COMMAND [ARGUMENT...]"
[ "$(id -u)" = 0 ] || fail "this makes network namespaces and users, and has to be run as root"
PATH=$PATH:/usr/sbin:/usr/local/sbin:/sbin
command -v unshare > /dev/null && command -v setsid > /dev/null ||
    fail "missing: unshare and setsid, of util-linux"

bridges=() namespaces=() users=() names=() autogroup=
work=$(mktemp -d "${TMPDIR:-/tmp}/drydock-ssh-hosts.XXXXXX")
chmod 755 "$work" # the machines' users have to get through
trap take_down EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

install_missing
mkdir -p /run/sshd
share_by_priority
make_bridge
make_keys
write_machine
make_machines "${DRYDOCK_TEST_SSH_HOSTS_COUNT:-3}"
say "$(printf '%s ' "${names[@]}")are up on $network.0/24"

DRYDOCK_TEST_SSH_HOSTS=$work/hosts.json "$@"
