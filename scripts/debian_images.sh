# Sourced by the scripts that start containers: the contents of their images, made from the machine's own
# mirror, so that no registry is needed. CACHE and work are directories of the script that sources
# this, which says what went wrong by debian_packages.sh.
# shellcheck shell=bash

# Make two archives: $archive, of Debian with Python, git and buildbot-worker, once for all runs on this
# machine, and $work/small.tar, of busybox alone.
make_archive() {
    local suite
    suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
    archive=$CACHE/debian-$suite-$(dpkg --print-architecture)-1.tar
    mkdir -p "$CACHE"
    exec 9> "$archive.lock"
    flock 9
    if [ ! -e "$archive" ]; then
        say "making an image of Debian $suite, once"
        # The whole log: a package that is missing is named long before the end.
        if ! mmdebstrap --variant=minbase \
            --include=buildbot-worker,git,procps,ca-certificates \
            "$suite" "$archive.new.tar" > "$work/mmdebstrap.log" 2>&1; then
            cat "$work/mmdebstrap.log" >&2
            fail "cannot make the image; see above"
        fi
        mv "$archive.new.tar" "$archive"
    fi
    exec 9>&-
    mkdir -p "$work/small/bin" "$work/small/tmp"
    cp /bin/busybox "$work/small/bin/"
    chroot "$work/small" /bin/busybox --install -s /bin
    tar -C "$work/small" -cf "$work/small.tar" .
}
