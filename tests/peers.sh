#!/bin/sh
# Install what the integration tests talk to: FRR, BIRD and GoBGP as routers, etcd for the
# kube-apiserver, and the tools that make and watch network namespaces. Debian packages only.
#
# Idempotent, and quick when nothing is missing. A daemon that this script installs neither starts
# now nor at boot: the tests run their own copies. A service that was there before is left alone.
# Without root it says what stays out and succeeds; with CI=true a missing part is a failure.
set -eu

packages="frr bird2 gobgpd etcd-server iproute2 tcpdump nftables iputils-ping iputils-arping ndisc6 buildah debootstrap systemd-container"
policy=/usr/sbin/policy-rc.d

missing() {
    for package in $packages; do
        status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
        [ "$status" = "ii " ] || printf '%s ' "$package"
    done
}

leave_out() { # why
    echo "tests/peers.sh: left out: ${wanted}($1)" >&2
    echo "tests/peers.sh: the tests that need them are skipped" >&2
    [ "${CI:-}" = true ] && exit 1
    exit 0
}

forbid_starts() {
    # 101 is "action forbidden by policy": invoke-rc.d(8). A policy that is there already stays.
    [ -e "$policy" ] && return
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

put_to_rest() { # package
    now=
    [ ! -d /run/systemd/system ] || now=--now
    dpkg-query -L "$1" | sed -n 's|.*/systemd/system/\([^/@]*\.service\)$|\1|p' |
        while read -r unit; do
            systemctl disable --quiet $now "$unit" 2>/dev/null || true
        done
    dpkg-query -L "$1" | sed -n 's|^/etc/init\.d/\(.*\)|\1|p' |
        while read -r script; do
            update-rc.d "$script" disable >/dev/null 2>&1 || true
        done
}

command -v dpkg-query >/dev/null || { wanted="$packages " && leave_out "not a Debian system"; }
wanted=$(missing)
[ -n "$wanted" ] || exit 0
[ "$(id -u)" = 0 ] || leave_out "installing them takes root"

echo "tests/peers.sh: installing $wanted" >&2
export DEBIAN_FRONTEND=noninteractive
forbid_starts
for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do # apt waits for dpkg's lock, not for that of its lists
    apt-get update -qq && break
    sleep 5
done # what is known already may do
# shellcheck disable=SC2086  # a list of words
apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 $wanted >/dev/null || true
installed=$wanted
wanted=$(missing)
for package in $installed; do
    case " $wanted " in *" $package "*) ;; *) put_to_rest "$package" ;; esac
done
[ -z "$wanted" ] || leave_out "apt-get could not install them"
