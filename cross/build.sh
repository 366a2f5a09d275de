#!/usr/bin/env bash
# Builds the gateway's program as one static executable:
#
#   cross/build.sh <architecture>… | all  [--set small|standard|full] [--twice | --light | --figures]
#
# Two ways to the same file. Where Debian's rustc-web, cargo-web and rust-web-src are installed, the standard library is
# built from source, for size. Elsewhere the one that rustup fetches is used, and where it has none, Debian's toolchain
# is installed. In both, zig is the C compiler, the start files and the linker. INUSE_CROSS_WAY=debian or rustup allows
# no other.
#
# The result is in dist/<target>/: inuse-agent (inuse-agent-small, -full for the other sets), stripped, its symbols
# beside it (.debug), and SHA256SUMS. --twice builds once more in another folder and fails unless the bytes are the
# same. --light is for tests of what does not depend on how well it is optimised: the profile `gateway-light`, the result
# in cross/light/dist/ of the cargo target directory. --figures builds the example `proof_figures` as shipped, in
# cross/figures/ there. Nothing is written elsewhere. Panics unwind in both ways.
set -euo pipefail

fail() { printf 'cross: %s\n' "$*" >&2; exit 1; }
say() { printf 'cross: %s\n' "$*" >&2; }

. "$(dirname "${BASH_SOURCE[0]}")/targets.sh"
declare -A qemus=([armv7]=arm [arm]=arm [armv5]=arm)
usage="which ones? ${all[*]}, or all"

chosen=() set=standard twice= profile=gateway figures=
while [ $# -gt 0 ]; do
  case $1 in
    all) chosen+=("${all[@]}") ;;
    --set) shift; set=${1:-} ;;
    --twice) twice=yes ;;
    --light) profile=gateway-light ;;
    --figures) figures=yes program=proof_figures ;;
    *) [ -n "${targets[$1]:-}" ] || fail "$usage"; chosen+=("$1") ;;
  esac
  shift
done
[ ${#chosen[@]} -gt 0 ] || fail "$usage"
case $set in
  standard) program=${program:-inuse-agent} ;;
  small|full) program=inuse-agent-$set ;;
  *) fail "--set small, standard or full" ;;
esac

[ -z "$twice" ] || [ $profile = gateway ] || fail "--twice compares what is shipped: without --light"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
work=${CARGO_TARGET_DIR:-$root/target}
case $work in /*) ;; *) work=$root/$work ;; esac
tools=$work/tools/cross

# Changing the pins makes the tools anew.
if ! cmp -s cross/requirements.txt "$tools/installed.txt"; then
  say "installing cargo-zigbuild and zig into $tools"
  rm -rf "$tools"
  python3 -m venv "$tools" || fail "python3 with its venv module is needed (Debian: apt-get install python3-venv)"
  "$tools/bin/pip" install --quiet --require-hashes --only-binary :all: -r cross/requirements.txt \
    || fail "cargo-zigbuild and zig could not be fetched from PyPI"
  cp cross/requirements.txt "$tools/installed.txt"
fi
export CARGO_ZIGBUILD_PYTHON_PATH=$tools/bin/python

rustup_has() {
  command -v rustup >/dev/null || return 1
  rustup target list --installed 2>/dev/null | grep -qx "$1" && return 0
  timeout 120 rustup target add "$1" >/dev/null 2>&1
}

debian_has() { [ -x /usr/bin/cargo ] && [ -x /usr/bin/rustc ] && [ -f "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/std/Cargo.toml" ]; }

debian_gets() {
  debian_has && return 0
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  say "installing Debian's toolchain with the library's source"
  apt-get update -q >&2 && apt-get install -y -q --no-install-recommends rustc-web cargo-web rust-web-src >&2 || return 1
  debian_has
}

# The library built from source is some 100 KB smaller: rustup's brings what prints backtraces.
way_to() {
  case ${INUSE_CROSS_WAY:-either} in
    debian) if debian_gets; then echo debian; else fail "Debian's toolchain is not here and could not be installed"; fi ;;
    rustup) if rustup_has "$1"; then echo rustup; else fail "rustup has no $1"; fi ;;
    *)
      if debian_has; then echo debian
      elif rustup_has "$1"; then echo rustup
      elif debian_gets; then echo debian
      else fail "no standard library for $1: run \`rustup target add $1\`, or as root on Debian \`apt-get install rustc-web cargo-web rust-web-src\`"; fi
      ;;
  esac
}

# features <architecture>: what the chosen set is there.
features() {
  if [ -z "${without_opcua[$1]:-}" ]; then echo "$set"; return; fi
  [ "$set" != full ] || fail "$1 has no full set: the OPC UA client needs 64-bit atomics, which that machine does not have"
  say "$1: without OPC UA, whose client needs 64-bit atomics, which that machine does not have"
  echo small
}

# compile <target> <folder> <features>: the unstripped executable, in <folder>/<target>/<profile>/.
compile() (
  target=$1 folder=$2 features=$3
  # No path of this machine may be in the bytes.
  flags="--remap-path-prefix=$root=/inuse --remap-path-prefix=$folder=/target"
  flags+=" --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
  c_flags="-ffile-prefix-map=$root=/inuse -ffile-prefix-map=$folder=/target"
  c_flags+=" -ffile-prefix-map=${CARGO_HOME:-$HOME/.cargo}=/cargo"
  # Nothing unwinds through C.
  c_flags+=" -fno-asynchronous-unwind-tables -fno-unwind-tables"
  # The buffer compresses at a level that uses the fast searches of zstd, and asks SQLite for tables and nothing else.
  for search in GREEDY LAZY LAZY2 BTLAZY2 BTOPT BTULTRA; do
    c_flags+=" -DZSTD_EXCLUDE_${search}_BLOCK_COMPRESSOR"
  done
  export LIBSQLITE3_FLAGS=
  for part in FTS3 FTS3_PARENTHESIS FTS5 RTREE STAT4 DBSTAT_VTAB LOAD_EXTENSION; do
    LIBSQLITE3_FLAGS+=" -USQLITE_ENABLE_$part"
  done
  for part in JSON DATETIME_FUNCS LOAD_EXTENSION AUTHORIZATION SHARED_CACHE DEPRECATED UTF16 TRACE PROGRESS_CALLBACK \
    GET_TABLE COMPLETE DESERIALIZE INTROSPECTION_PRAGMAS; do
    LIBSQLITE3_FLAGS+=" -DSQLITE_OMIT_$part"
  done
  case $target in
    # Two bytes for most instructions instead of four.
    armv7-*) flags+=" -C target-feature=+thumb-mode" c_flags+=" -mthumb" ;;
    # Small boards have no vector unit.
    loongarch64-*) flags+=" -C target-feature=-lsx,-lasx" c_flags+=" -mno-lsx" ;;
  esac
  build_std=() locked=(--locked)
  way=$(way_to "$target")
  if [ "$way" = rustup ]; then
    say "building $program for $target with rustup's standard library"
  else
    say "building $program for $target with a standard library built from source"
    export PATH=/usr/bin:$PATH CARGO=/usr/bin/cargo RUSTC=/usr/bin/rustc
    unset RUSTUP_TOOLCHAIN RUSTDOC
    # -Zbuild-std is not for the stable toolchain unless told; such a toolchain has no musl start files of its own.
    export RUSTC_BOOTSTRAP=1
    flags+=" -C link-self-contained=no"
    # A stripped program has no names to put into a backtrace; panics say where they are without it.
    build_std=(-Zbuild-std=std,panic_unwind -Zbuild-std-features=panic-unwind)
    # Not --locked: the standard library has dependencies of its own beside ours.
    locked=()
  fi
  export RUSTFLAGS="${RUSTFLAGS:-} $flags" CFLAGS="${CFLAGS:-} $c_flags"
  # A folder of its own: the toolchain may differ from the one of the tests, and neither build may undo the other.
  what=(--package agent --bin inuse-agent --no-default-features --features "$features")
  [ -z "$figures" ] || what=(--package proof --example proof_figures)
  CARGO_TARGET_DIR=$folder "$tools/bin/cargo-zigbuild" zigbuild --profile "$profile" "${locked[@]}" "${build_std[@]}" \
    --target "$target" "${what[@]}"
)

# separate <executable> <stripped> <symbols>: by the toolchain's own objcopy, else by one for all machines.
separate() {
  local sysroot objcopy
  sysroot=$(rustc --print sysroot 2>/dev/null) || sysroot=/nowhere
  objcopy=$(find "$sysroot/lib/rustlib" -name rust-objcopy -type f 2>/dev/null | head -n 1)
  [ -n "$objcopy" ] || objcopy=$(command -v llvm-objcopy || ls /usr/bin/llvm-objcopy-* 2>/dev/null | tail -n 1) || true
  [ -n "$objcopy" ] || fail "neither rust-objcopy nor llvm-objcopy is here (Debian: apt-get install llvm)"
  LD_LIBRARY_PATH=$sysroot/lib "$objcopy" --only-keep-debug --compress-debug-sections=zlib "$1" "$3"
  LD_LIBRARY_PATH=$sysroot/lib "$objcopy" --strip-all "$1" "$2"
}

for name in "${chosen[@]}"; do
  target=${targets[$name]}
  folder=$work/cross/$set
  [ $profile = gateway ] || folder=$work/cross/light
  features=$(features "$name")
  compile "$target" "$folder" "$features"
  dist=dist/$target
  [ $profile = gateway ] || dist=$work/cross/light/dist/$target
  built=$folder/$target/$profile/inuse-agent
  if [ -n "$figures" ]; then dist=$work/cross/figures/$target built=$folder/$target/$profile/examples/proof_figures; fi
  mkdir -p "$dist"
  separate "$built" "$dist/$program" "$dist/$program.debug"
  chmod 755 "$dist/$program"
  if [ -n "$twice" ]; then
    compile "$target" "$work/cross/again" "$features"
    separate "$work/cross/again/$target/gateway/inuse-agent" "$work/cross/again/$program" "$work/cross/again/$program.debug"
    cmp "$dist/$program" "$work/cross/again/$program" || fail "$target: two builds differ"
    say "$target: built twice, the same bytes"
  fi
  (cd "$dist" && find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%P\n' | LC_ALL=C sort | xargs sha256sum >SHA256SUMS)
  say "$dist/$program: $(stat -c %s "$dist/$program") bytes"
  if command -v readelf >/dev/null && readelf -lW "$dist/$program" | grep -q INTERP; then
    fail "the executable wants a dynamic loader: it is not static"
  fi
  qemu=qemu-${qemus[$name]:-$name}-static
  if [ -n "$figures" ]; then continue; fi
  if command -v "$qemu" >/dev/null; then
    "$qemu" "$dist/$program" --version
  else
    say "not run: $qemu is not installed (Debian: apt-get install qemu-user-static)"
  fi
done
