#!/bin/sh
# Builds the programs of the test bed into a cache folder and prints that folder as the last line on stdout.
#
# The folder is keyed by versions and lies outside the checkout: a clean checkout does not pay the build (about ten
# minutes on two cores) again. Where all is there, this does nothing.
#
#   PILOTHOUSE_CACHE    the cache (default: $XDG_CACHE_HOME/pilothouse, ~/.cache/pilothouse)
#   KUBEBUILDER_ASSETS  the envtest convention: where this folder holds etcd and kube-apiserver, the bed runs those and
#                       etcd is not built; where it also holds kube-controller-manager and kube-scheduler, no part of
#                       the control plane is.
set -eu

kubernetes=1.36.3 etcd=3.6.8 kwok=0.7.0 kustomize=5.8.1 flagger=1.44.0

fail() { echo "build.sh: $*" >&2; exit 1; }
say() { echo "build.sh: $*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

here=$(cd "$(dirname "$0")" && pwd)
base=${PILOTHOUSE_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/pilothouse}
folder=$base/bed/k8s-${kubernetes}_etcd-${etcd}_kwok-${kwok}_kustomize-${kustomize}_flagger-${flagger}

have git || fail "git is missing: the test bed makes repositories and kustomize fetches with it. Install the package git."
have python3 || fail "python3 (3.9 or newer) is missing: bed.py needs it, its standard library is enough. Install the package python3."

wanted="controlplane etcd kwok kustomize flagger"
assets=${KUBEBUILDER_ASSETS:-}
if [ -n "$assets" ] && [ -x "$assets/etcd" ] && [ -x "$assets/kube-apiserver" ]; then
    wanted="controlplane kwok kustomize flagger"
    if [ -x "$assets/kube-controller-manager" ] && [ -x "$assets/kube-scheduler" ]; then
        wanted="kwok kustomize flagger"
    fi
fi

missing() { for tool in $wanted; do [ -x "$folder/$tool" ] || echo "$tool"; done; }

# Everything is linked statically (CGO_ENABLED=0), so no C compiler is asked for. A program appears under its name only
# when it is complete: it is built in a temporary folder beside it and moved.
build() {
    case $1 in
    controlplane)
        # Without a version stamp /version is no semantic version, and clients such as Flagger refuse to start.
        stamp=k8s.io/component-base/version
        (cd "$here/build/controlplane" && go build -ldflags "-s -w -X $stamp.gitVersion=v$kubernetes -X $stamp.gitMajor=${kubernetes%%.*} -X $stamp.gitMinor=36" -o "$work/controlplane" .) ;;
    etcd) (cd "$here/build/etcd" && go build -ldflags "-s -w" -o "$work/etcd" .) ;;
    kwok) GOBIN=$work go install -ldflags "-s -w" "sigs.k8s.io/kwok/cmd/kwok@v$kwok" ;;
    kustomize) GOBIN=$work go install -ldflags "-s -w" "sigs.k8s.io/kustomize/kustomize/v5@v$kustomize" ;;
    flagger) GOBIN=$work go install -ldflags "-s -w" "github.com/fluxcd/flagger/cmd/flagger@v$flagger" ;;
    esac || fail "building $1 failed; the lines above say why. It needs Go 1.26 or newer (or GOTOOLCHAIN=auto) and the Go module proxy."
    mv "$work/$1" "$folder/$1"
}

if [ -n "$(missing)" ]; then
    have go || fail "go is missing, and these programs are not built yet: $(missing | tr '\n' ' ')in $folder. Install Go 1.26 or newer, or copy that folder from another machine."
    mkdir -p "$folder"
    if have flock; then
        exec 9>"$folder/.lock"
        flock 9
    fi
    work=$(mktemp -d "$folder/.building.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' INT TERM HUP
    export CGO_ENABLED=0
    for tool in $(missing); do
        say "building $tool"
        build "$tool" 1>&2
    done
fi

if ! have prometheus; then
    have apt-get || fail "prometheus is not on the PATH, and there is no apt-get to install it with. Put a prometheus 2 or 3 on the PATH."
    [ "$(id -u)" = 0 ] || fail "prometheus is not on the PATH. Install it: sudo apt-get install --no-install-recommends prometheus"
    say "installing prometheus"
    # RUNLEVEL=1 keeps the package from starting its service: the bed starts its own, on ports of its own.
    install() { RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus 1>&2; }
    install || { apt-get update -qq 1>&2 && install; } || fail "apt-get could not install prometheus; the lines above say why."
    if have systemctl; then systemctl disable --now prometheus >/dev/null 2>&1 || true
    elif have service; then service prometheus stop >/dev/null 2>&1 || true; fi
fi

echo "$folder"
