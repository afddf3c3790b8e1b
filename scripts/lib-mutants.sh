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
    say "building jine: $(head -n 1 "$patch")"
    RUSTFLAGS=-Awarnings cargo build --locked --quiet --manifest-path "$copy/Cargo.toml" --target-dir "$root/target/mutants/target" ||
        die "the mutant $name does not build"
    mutant=$root/target/mutants/$name
    cp "$root/target/mutants/target/debug/jine" "$mutant"
}
