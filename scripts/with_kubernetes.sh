#!/usr/bin/env bash
# Run a command beside a Kubernetes cluster of one node, of its own.
#
#     scripts/with_kubernetes.sh COMMAND [ARGUMENT...]
#
# The control plane and the kubelet are built from Debian's source package, once, which takes a few
# minutes on two cores; what was built is kept in ~/.cache/buildbot-drydock, beside an image of
# Debian with Python, git and buildbot-worker. No registry is needed, and none can be reached by
# accident. All is taken down when the command ends, however it ends.
#
# The command finds the cluster in the JSON file that DRYDOCK_TEST_KUBERNETES names;
# tests/kubernetes_cluster.py reads it. Needs root, and installs what is missing on Debian. The exit
# status is the command's.
set -euo pipefail

readonly PATIENCE=120 # seconds for a part to come up
readonly CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/buildbot-drydock
readonly RELEASE=1.20.2 # of Kubernetes
readonly IMAGE=localhost/drydock/debian:1
readonly SMALL_IMAGE=localhost/drydock/busybox:1
programs=$CACHE/kubernetes-$RELEASE-$(dpkg --print-architecture)-2

# shellcheck source=scripts/debian_packages.sh
source "$(dirname "${BASH_SOURCE[0]}")/debian_packages.sh"
# shellcheck source=scripts/debian_images.sh
source "$(dirname "${BASH_SOURCE[0]}")/debian_images.sh"

# --- the programs ------------------------------------------------------------------------------

missing_packages() {
    command -v etcd > /dev/null || echo etcd-server
    command -v containerd > /dev/null || echo containerd
    command -v runc > /dev/null || echo runc
    [ -x /usr/lib/cni/bridge ] || echo containernetworking-plugins
    command -v ip > /dev/null || echo iproute2
    command -v curl > /dev/null || echo curl
    command -v openssl > /dev/null || echo openssl
    command -v mmdebstrap > /dev/null || echo mmdebstrap
    # It has to run in an image with nothing else.
    { [ -x /bin/busybox ] && ! ldd /bin/busybox > /dev/null 2>&1; } || echo busybox-static
    # What the programs are built with.
    local each
    [ -d "$programs" ] || for each in golang-1.19-go golang-github-modern-go-reflect2-dev dpkg-dev rsync make; do
        dpkg -s "$each" > /dev/null 2>&1 || echo "$each"
    done
}

# Debian has no package of the servers, but its source package has all that they are made of.
build_missing() {
    exec 8> "$programs.lock"
    flock 8
    if [ ! -d "$programs" ]; then
        say "building Kubernetes $RELEASE, once; this takes a few minutes on two cores"
        # The whole log: what is missing is named long before the end.
        build > "$work/build.log" 2>&1 < /dev/null || {
            tail -n 200 "$work/build.log" >&2
            fail "cannot build Kubernetes; see above"
        }
        rm -rf "$work/build"
    fi
    exec 8>&-
}

# A subshell, as it changes directory and environment.
build() (
    set -euo pipefail
    mkdir -p "$work/build/lists/partial" "$work/build/sources"
    cd "$work/build"
    # This machine's own mirror, asked for sources.
    if [ -e /etc/apt/sources.list.d/debian.sources ]; then
        sed 's/^Types:.*/Types: deb-src/' /etc/apt/sources.list.d/debian.sources \
            > sources/these.sources
    else
        sed -n 's/^deb /deb-src /p' /etc/apt/sources.list > sources/these.list
    fi
    apt=(apt-get -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$PWD/sources"
        -o "Dir::State::lists=$PWD/lists" -o APT::Sandbox::User=root)
    "${apt[@]}" update
    "${apt[@]}" source --download-only kubernetes
    dpkg-source -x kubernetes_*.dsc tree
    cd tree
    # The copy of reflect2 in there makes programs crash at random that are built with Go 1.18 or
    # later; Debian has a later one.
    reflect2=vendor/github.com/modern-go/reflect2
    rm "$reflect2"/*.go "$reflect2"/*.s
    cp /usr/share/gocode/src/github.com/modern-go/reflect2/*.{go,s} "$reflect2"/
    # A kubelet looks that often whether a pod that it has ended can be forgotten: most of the time that
    # it takes until one is gone.
    sed -i 's/^const syncPeriod = 10 \* time.Second$/const syncPeriod = time.Second/' \
        pkg/kubelet/status/status_manager.go
    grep -q '^const syncPeriod = time.Second$' pkg/kubelet/status/status_manager.go
    export PATH=/usr/lib/go-1.19/bin:$PATH CGO_ENABLED=0 GOPROXY=off
    export HOME=$work/build/home GOPATH=$PWD/.go
    export KUBE_GIT_VERSION=v$RELEASE KUBE_GIT_COMMIT=debian KUBE_GIT_TREE_STATE=archive
    export KUBE_GIT_MAJOR=1 KUBE_GIT_MINOR=20
    # Without what nobody uses here: the libraries of clouds, which are most of it, and of Docker.
    export GOFLAGS=-tags=providerless,dockerless
    mkdir -p "$HOME" .go/src/k8s.io
    ln -sfn ../../.. .go/src/k8s.io/kubernetes
    make gen_openapi # all else that is generated is in the package
    hack/make-rules/build.sh cmd/kube-apiserver cmd/kube-controller-manager cmd/kube-scheduler \
        cmd/kubelet
    rm -rf "$programs.new"
    mkdir "$programs.new"
    cp _output/local/bin/linux/*/kube* "$programs.new/"
    mv "$programs.new" "$programs"
)

# --- the images --------------------------------------------------------------------------------

# Load an image of one layer: load_image LAYER NAME [NAME...]
load_image() {
    local layer=$1 digest names
    shift
    names=$(printf ',"%s"' "$@")
    rm -rf "$work/image"
    mkdir "$work/image"
    ln -s "$layer" "$work/image/layer.tar"
    digest=$(sha256sum < "$layer" | cut -d ' ' -f 1)
    cat > "$work/image/config.json" <<- JSON
		{"architecture": "$(dpkg --print-architecture)", "os": "linux",
		 "config": {"Cmd": ["/bin/sleep", "1000000000"],
		   "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
		 "rootfs": {"type": "layers", "diff_ids": ["sha256:$digest"]}}
	JSON
    printf '[{"Config": "config.json", "RepoTags": [%s], "Layers": ["layer.tar"]}]' "${names#,}" \
        > "$work/image/manifest.json"
    tar -C "$work/image" -chf - . | ctr -a "$work/containerd.sock" -n k8s.io images import - > /dev/null
    rm -rf "$work/image"
}

# --- the parts ---------------------------------------------------------------------------------

free_port() {
    local port
    for _ in $(seq 50); do
        port=$((RANDOM % 20000 + 20000))
        if [[ " $ports " != *" $port "* ]] && ! (echo > "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then
            ports+=" $port"
            chosen=$port
            return
        fi
    done
    fail "no free port"
}

# Write the script that starts a part in the background: part NAME COMMAND...
part() {
    local name=$1
    shift
    {
        echo '#!/bin/bash'
        printf 'cd %q || exit 1 # whoever starts it may take its own directory away\n' "$work"
        echo 'exec 7>&- # the lock is not theirs'
        printf 'setsid'
        printf ' %q' "$@"
        printf ' >> %q 2>&1 < /dev/null &\n' "$work/$name.log"
        printf 'echo $! > %q\n' "$work/$name.pid"
        [ ! -e "$work/await_$name.sh" ] || printf 'exec %q\n' "$work/await_$name.sh"
    } > "$work/start_$name.sh"
    chmod +x "$work/start_$name.sh"
}

# Write the script that returns once a part is up: awaiting NAME CONDITION
awaiting() {
    cat > "$work/await_$1.sh" <<- AWAIT
		#!/bin/bash
		deadline=\$((SECONDS + $PATIENCE))
		until $2; do
		    if [ \$SECONDS -ge \$deadline ]; then
		        tail -n 30 "$work/$1.log" >&2
		        exit 1
		    fi
		    sleep 0.1
		done
	AWAIT
    chmod +x "$work/await_$1.sh"
}

kubeconfig() {
    cat > "$work/$1.kubeconfig" <<- CONFIG
		apiVersion: v1
		kind: Config
		clusters:
		  - name: test
		    cluster: {server: "$server", certificate-authority: $work/certificates/apiserver.crt}
		users:
		  - name: $1
		    user: {token: $1-$secret}
		contexts:
		  - name: test
		    context: {cluster: test, user: $1}
		current-context: test
	CONFIG
    chmod 600 "$work/$1.kubeconfig"
}

write_parts() {
    local etcd_port peer_port manager_port scheduler_port kubelet_port health_port api_port
    ports=
    for each in etcd peer manager scheduler kubelet health api; do
        free_port
        printf -v "${each}_port" %s "$chosen"
    done
    server=https://127.0.0.1:$api_port
    secret=$(openssl rand -hex 16)
    mkdir -p "$work/certificates" "$work/cni" "$work/volume-plugins"
    (
        umask 077
        openssl genrsa -out "$work/accounts.key" 2048 2> /dev/null
        cat > "$work/tokens.csv" <<- TOKENS
			admin-$secret,admin,admin,system:masters
			scheduler-$secret,system:kube-scheduler,scheduler
			node-$secret,system:node:localhost,node,system:nodes
			buildbot-$secret,buildbot,buildbot
		TOKENS
    )
    for each in admin scheduler node buildbot; do kubeconfig "$each"; done
    local authorized="-sf --cacert $work/certificates/apiserver.crt -K $work/curl.config"
    (umask 077 && printf 'header = "Authorization: Bearer admin-%s"\n' "$secret" > "$work/curl.config")

    part etcd etcd --data-dir "$work/etcd" --unsafe-no-fsync \
        --listen-client-urls "http://127.0.0.1:$etcd_port" \
        --advertise-client-urls "http://127.0.0.1:$etcd_port" \
        --listen-peer-urls "http://127.0.0.1:$peer_port" \
        --initial-advertise-peer-urls "http://127.0.0.1:$peer_port" \
        --initial-cluster "default=http://127.0.0.1:$peer_port"
    awaiting apiserver "curl $authorized $server/readyz > /dev/null"
    part apiserver "$programs/kube-apiserver" "--etcd-servers=http://127.0.0.1:$etcd_port" \
        --bind-address=127.0.0.1 "--secure-port=$api_port" --insecure-port=0 \
        "--cert-dir=$work/certificates" "--token-auth-file=$work/tokens.csv" \
        --authorization-mode=Node,RBAC --allow-privileged=true \
        --service-account-issuer=https://kubernetes.default.svc \
        "--service-account-key-file=$work/accounts.key" \
        "--service-account-signing-key-file=$work/accounts.key" \
        --api-audiences=https://kubernetes.default.svc --service-cluster-ip-range=10.96.0.0/16 \
        --advertise-address=192.0.2.2 --kubelet-preferred-address-types=Hostname
    part manager "$programs/kube-controller-manager" "--kubeconfig=$work/admin.kubeconfig" \
        "--service-account-private-key-file=$work/accounts.key" \
        "--root-ca-file=$work/certificates/apiserver.crt" --leader-elect=false \
        --bind-address=127.0.0.1 "--secure-port=$manager_port" --port=0 \
        "--cert-dir=$work/manager" --node-monitor-grace-period=16s --node-monitor-period=2s
    part scheduler "$programs/kube-scheduler" "--kubeconfig=$work/scheduler.kubeconfig" \
        --leader-elect=false --bind-address=127.0.0.1 "--secure-port=$scheduler_port" --port=0 \
        "--cert-dir=$work/scheduler"
    write_node "$kubelet_port" "$health_port" "$authorized"
}

write_node() {
    cat > "$work/containerd.toml" <<- TOML
		version = 2
		root = "$work/containerd/root"
		state = "$work/containerd/state"
		oom_score = 0
		[grpc]
		  address = "$work/containerd.sock"
		[plugins."io.containerd.grpc.v1.cri"]
		  sandbox_image = "$SMALL_IMAGE"
		  restrict_oom_score_adj = true
		  disable_hugetlb_controller = true
		  netns_mounts_under_state_dir = true
		  [plugins."io.containerd.grpc.v1.cri".cni]
		    bin_dir = "/usr/lib/cni"
		    conf_dir = "$work/cni"
		  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
		    runtime_type = "io.containerd.runc.v2"
	TOML
    cat > "$work/cni/10-drydock.conflist" <<- CNI
		{"cniVersion": "0.4.0", "name": "$network", "plugins": [
		  {"type": "bridge", "bridge": "$network", "isGateway": true, "ipMasq": false,
		   "ipam": {"type": "host-local", "dataDir": "$work/addresses",
		     "ranges": [[{"subnet": "$subnet.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
	CNI
    awaiting containerd "[ -S '$work/containerd.sock' ]"
    part containerd containerd --config "$work/containerd.toml"
    cat > "$work/kubelet.yaml" <<- YAML
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		address: 127.0.0.1
		port: $1
		healthzPort: $2
		readOnlyPort: 0
		authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
		authorization: {mode: AlwaysAllow}
		cgroupDriver: cgroupfs
		enforceNodeAllocatable: []
		failSwapOn: false
		makeIPTablesUtilChains: false
		oomScoreAdj: 0
		evictionHard: {memory.available: "100Mi"}
		nodeStatusUpdateFrequency: 2s
		nodeLeaseDurationSeconds: 12
		maxPods: 60
		volumeStatsAggPeriod: 5s
	YAML
    awaiting kubelet "curl $3 $server/api/v1/nodes/localhost | grep -q KubeletReady"
    part kubelet "$programs/kubelet" "--config=$work/kubelet.yaml" \
        "--kubeconfig=$work/node.kubeconfig" --hostname-override=localhost \
        "--root-dir=$work/kubelet" "--cert-dir=$work/kubelet-certificates" \
        --container-runtime=remote "--container-runtime-endpoint=unix://$work/containerd.sock" \
        "--pod-infra-container-image=$SMALL_IMAGE" --runtime-cgroups=/ --kubelet-cgroups=/ \
        "--volume-plugin-dir=$work/volume-plugins"
}

describe() {
    cat > "$work/cluster.json" <<- JSON
		{
		  "admin": "$work/admin.kubeconfig", "user": "$work/buildbot.kubeconfig",
		  "image": "$IMAGE", "small_image": "$SMALL_IMAGE", "master": "$subnet.1",
		  "apiserver": "$work/apiserver.pid", "start_apiserver": "$work/start_apiserver.sh",
		  "kubelet": "$work/kubelet.pid", "start_kubelet": "$work/start_kubelet.sh"
		}
	JSON
}

# --- the run -----------------------------------------------------------------------------------

is_running() {
    local state
    state=$(sed -n 's/^State:\s*//p' "/proc/$1/status" 2> /dev/null) && [ -n "$state" ] &&
        [[ $state != Z* ]] # nobody may bury what was killed for a while
}

# End a part: end NAME SIGNAL
end() {
    local number deadline=$((SECONDS + 20))
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

# What runs in the pods, each below a process that watches over it.
end_containers() {
    local each number child
    for each in /proc/[0-9]*; do
        if grep -qzF "$work/containerd.sock" "$each/cmdline" 2> /dev/null &&
            [[ $(cat "$each/comm" 2> /dev/null) = containerd-shim* ]]; then
            number=${each#/proc/}
            for child in $(cat "$each"/task/*/children 2> /dev/null); do
                kill -KILL "$child" 2> /dev/null || true
            done
            kill -KILL "$number" 2> /dev/null || true
        fi
    done
}

take_down() {
    trap '' INT TERM HUP # once is enough, and half of it is not
    local uid
    end kubelet KILL
    end_containers
    end containerd TERM
    end_containers
    for each in scheduler manager apiserver etcd; do end "$each" KILL; done
    grep -oE " $work/[^ ]+" /proc/self/mounts | sort -r | xargs -r -n 1 umount -l 2> /dev/null || true
    ip link delete "$network" 2> /dev/null || true
    # What these programs keep in places that can't be chosen.
    rm -rf /var/lib/cni/results/"$network"-*
    for uid in "$work"/kubelet/pods/*; do
        [ -d "$uid" ] && rm -rf /var/log/pods/*_"${uid##*/}"
    done
    find /var/log/containers -xtype l -delete 2> /dev/null || true
    find /sys/fs/cgroup -depth -type d -path '*/kubepods*' -exec rmdir {} + 2> /dev/null || true
    rm -rf "$work" || { sleep 1 && rm -rf "$work"; }
}

[ $# -gt 0 ] || fail "usage: scripts/with_kubernetes.sh COMMAND [ARGUMENT...]"
[ "$(id -u)" = 0 ] || fail "this starts a Kubernetes cluster, and has to be run as root"
PATH=$PATH:/usr/sbin:/usr/local/sbin:/sbin

work=$(mktemp -d "${TMPDIR:-/tmp}/drydock-kubernetes.XXXXXX")
chmod 755 "$work"
network=drydock-k8s
subnet=10.244.$((RANDOM % 250))
trap take_down EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

mkdir -p "$CACHE"
install_missing
build_missing
# A kubelet ends all pods of this machine that it does not know, so there can be but one.
exec 7> /run/drydock-kubernetes.lock
flock 7
make_archive
write_parts
# Masters listen there before there is a pod.
ip link add "$network" type bridge
ip address add "$subnet.1/24" dev "$network"
ip link set "$network" up
"$work/start_etcd.sh"
"$work/start_containerd.sh" || fail "containerd does not start; see above"
load_image "$work/small.tar" "$SMALL_IMAGE" &
"$work/start_apiserver.sh" || fail "the API server does not start; see above"
"$work/start_manager.sh"
"$work/start_scheduler.sh"
wait
load_image "$archive" "$IMAGE" &
loading=$!
"$work/start_kubelet.sh" || fail "the node does not become ready; see above"
wait "$loading" || fail "the image cannot be loaded; see above"
describe
say "a Kubernetes cluster is up"

DRYDOCK_TEST_KUBERNETES=$work/cluster.json "$@" 7>&-
