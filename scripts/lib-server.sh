# shellcheck shell=bash
# Starts a datastore for a suite; source it, then: start_datastore jine|etcd DIRECTORY.
# It ends with the script that started it.

# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

server=

# free_port: one below those that the system gives to outgoing connections.
free_port() {
    local port
    while port=$((10000 + RANDOM % 20000)); do
        if ! (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
}

# Sets JINE to a fresh release build unless it names one already.
build_jine() {
    "$root/scripts/setup" rust nats-server
    [ -z "${JINE:-}" ] || return 0
    cargo build --release --locked --quiet --manifest-path "$root/Cargo.toml"
    JINE=$root/target/release/jine
}

# start_datastore NAME DIRECTORY: on a fresh directory; sets endpoint.
start_datastore() {
    local name=$1 dir=$2 peer
    endpoint=http://127.0.0.1:$(free_port)
    rm -rf "$dir"
    mkdir -p "$dir"
    case $name in
        etcd)
            "$root/scripts/setup" go etcd
            peer=http://127.0.0.1:$(free_port)
            "$bin/etcd" --name=default --data-dir="$dir/data" --listen-client-urls="$endpoint" \
                --advertise-client-urls="$endpoint" --listen-peer-urls="$peer" \
                --initial-advertise-peer-urls="$peer" --initial-cluster="default=$peer" \
                --log-level=warn >"$dir/log" 2>&1 &
            ;;
        jine)
            build_jine
            "$JINE" --endpoint=nats:// --data-dir="$dir/data" --nats-server="$bin/nats-server" \
                --listen-client-urls="$endpoint" --metrics-bind-address=0 >"$dir/log" 2>&1 &
            ;;
        *) die "no datastore '$name': jine or etcd" ;;
    esac
    server=$!
    trap stop_datastore EXIT
    await_port "${endpoint##*:}" "$server" || die "$name did not start: $(cat "$dir/log")"
}

# await_port PORT PID: as long as the process runs, for at most a minute.
await_port() {
    local end=$((SECONDS + 60))
    until (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do
        kill -0 "$2" 2>/dev/null && ((SECONDS < end)) || return 1
        sleep 0.05
    done
}

stop_datastore() {
    [ -n "$server" ] || return 0
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}
