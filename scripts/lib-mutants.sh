# shellcheck shell=bash
# Builds of jine that lack something, which a suite must notice. Source it.

# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# mutant PATCH: builds a copy of the sources with it; sets mutant to the program. All are built in one place, so that each takes only
# what the patch changes.
mutant() {
    local patch=$1 name copy=$root/target/mutants/source
    name=$(basename "$patch" .patch)
    rm -rf "$copy"
    mkdir -p "$copy"
    tar -C "$root" --exclude=./target --exclude=./.git -cf - . | tar -C "$copy" -xf -
    patch --directory "$copy" --strip 1 --quiet --no-backup-if-mismatch <"$patch" ||
        die "${patch#"$root/"} does not fit the sources any more"
    # What the mutant before it has changed is older than that one's build.
    touch "$copy/src/lib.rs" "$copy/src/main.rs"
    seed_mutants
    say "building jine: $(head -n 1 "$patch")"
    cargo build --locked --quiet --bin jine --manifest-path "$copy/Cargo.toml" --target-dir "$root/target/mutants/target" \
        2>"$root/target/mutants/log" || die "the mutant $name does not build: $(cat "$root/target/mutants/log")"
    mutant=$root/target/mutants/$name
    cp "$root/target/mutants/target/debug/jine" "$mutant"
}

# What jine depends on need not be built again: it is linked from target/debug, if it is there.
seed_mutants() {
    local to=$root/target/mutants/target/debug part
    [ ! -d "$to" ] && [ -d "$root/target/debug/deps" ] || return 0
    mkdir -p "$to"
    for part in deps build .fingerprint; do cp -al "$root/target/debug/$part" "$to/" || return 0; done
}
