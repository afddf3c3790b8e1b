# shellcheck shell=bash
# What the scripts beside this file share; they source it.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$root/target/tools
# shellcheck disable=SC2034 # for those who source this file
bin=$tools/bin

[ -z "${jine_lib:-}" ] || return 0
jine_lib=yes

# Where setup puts what it had to install itself, and where rustup puts cargo.
PATH=$tools/go/bin:$tools/rust/bin:$tools/lint/bin:$PATH:$HOME/.cargo/bin
export PATH

say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 1; }
# Prints the comment at the head of the script that calls it.
usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; }
have() { command -v "$1" >/dev/null 2>&1; }

# version_at_least HAVE WANT
version_at_least() {
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]
}

# The seconds since the first argument, a value of $SECONDS, as "1 min 23 s".
since() {
    local s=$((SECONDS - $1))
    if ((s < 60)); then printf '%d s' "$s"; else printf '%d min %d s' $((s / 60)) $((s % 60)); fi
}
