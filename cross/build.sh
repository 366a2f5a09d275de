#!/usr/bin/env bash
# Builds the gateway's program as one static executable: cross/build.sh <architecture> [cargo options]
#
# Two ways to the same file. Where rustup can fetch the target's standard library, that one is used. Where it cannot
# (an offline builder, a distribution's own toolchain), the standard library is built from source with Debian's
# rustc-web, cargo-web and rust-web-src. In both, zig is the C compiler, the start files and the linker.
#
# The result is dist/<target>/inuse-agent, with its SHA-256 beside it. Nothing is written elsewhere but under the
# cargo target directory. Panics unwind in both ways.
set -euo pipefail

fail() { printf 'cross: %s\n' "$*" >&2; exit 1; }
say() { printf 'cross: %s\n' "$*" >&2; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
case "${1:-}" in
  aarch64) target=aarch64-unknown-linux-musl qemu=qemu-aarch64-static ;;
  armv7) target=armv7-unknown-linux-musleabihf qemu=qemu-arm-static ;;
  arm) target=arm-unknown-linux-musleabihf qemu=qemu-arm-static ;;
  x86_64) target=x86_64-unknown-linux-musl qemu=qemu-x86_64-static ;;
  riscv64) target=riscv64gc-unknown-linux-musl qemu=qemu-riscv64-static ;;
  *) fail "which one? aarch64, armv7, arm, x86_64, riscv64" ;;
esac
shift

work=${CARGO_TARGET_DIR:-$root/target}
case $work in /*) ;; *) work=$root/$work ;; esac
tools=$work/tools/cross

# Changing the pins makes the tools anew.
if ! cmp -s "$root/cross/requirements.txt" "$tools/installed.txt"; then
  say "installing cargo-zigbuild and zig into $tools"
  rm -rf "$tools"
  python3 -m venv "$tools" || fail "python3 with its venv module is needed (Debian: apt-get install python3-venv)"
  "$tools/bin/pip" install --quiet --require-hashes --only-binary :all: -r "$root/cross/requirements.txt" \
    || fail "cargo-zigbuild and zig could not be fetched from PyPI"
  cp "$root/cross/requirements.txt" "$tools/installed.txt"
fi
export CARGO_ZIGBUILD_PYTHON_PATH=$tools/bin/python

rustup_has() {
  [ "${INUSE_CROSS_WAY:-rustup}" = rustup ] || return 1
  command -v rustup >/dev/null || return 1
  rustup target list --installed 2>/dev/null | grep -qx "$target" && return 0
  timeout 120 rustup target add "$target" >/dev/null 2>&1
}

debian_has() { [ -x /usr/bin/cargo ] && [ -x /usr/bin/rustc ] && [ -f "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/std/Cargo.toml" ]; }

build_std=()
if rustup_has; then
  way="rustup's standard library"
else
  if ! debian_has; then
    [ "${INUSE_CROSS_WAY:-debian}" = debian ] || fail "rustup has no $target"
    say "rustup has no $target; installing Debian's toolchain with the library's source"
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null \
      || fail "no standard library for $target: run \`rustup target add $target\`, or as root on Debian \`apt-get install rustc-web cargo-web rust-web-src\`"
    apt-get update -q >&2 && apt-get install -y -q --no-install-recommends rustc-web cargo-web rust-web-src >&2 \
      || fail "Debian's toolchain could not be installed"
    debian_has || fail "rustc-web is installed and its library source is not where it was expected"
  fi
  way="a standard library built from source"
  export PATH=/usr/bin:$PATH CARGO=/usr/bin/cargo RUSTC=/usr/bin/rustc
  unset RUSTUP_TOOLCHAIN RUSTDOC
  # -Zbuild-std is not for the stable toolchain unless told; such a toolchain has no musl start files of its own.
  export RUSTC_BOOTSTRAP=1 RUSTFLAGS="${RUSTFLAGS:-} -C link-self-contained=no"
  build_std=(-Zbuild-std=std,panic_unwind)
fi

say "building inuse-agent for $target with $way"
# A folder of its own: the toolchain may differ from the one of the tests, and a second build must not undo the first.
# Not --locked when the standard library is built: it has dependencies of its own beside ours.
locked=(--locked)
[ ${#build_std[@]} -eq 0 ] || locked=()
cd "$root"
CARGO_TARGET_DIR=$work/cross "$tools/bin/cargo-zigbuild" zigbuild --release "${locked[@]}" "${build_std[@]}" \
  --target "$target" --package agent --bin inuse-agent "$@"

mkdir -p "dist/$target"
cp "$work/cross/$target/release/inuse-agent" "dist/$target/inuse-agent"
(cd "dist/$target" && sha256sum inuse-agent >inuse-agent.sha256)
say "dist/$target/inuse-agent: $(stat -c %s "dist/$target/inuse-agent") bytes"

if command -v readelf >/dev/null && readelf -lW "dist/$target/inuse-agent" | grep -q INTERP; then
  fail "the executable wants a dynamic loader: it is not static"
fi
if command -v "$qemu" >/dev/null; then
  "$qemu" "dist/$target/inuse-agent" --version
else
  say "not run: $qemu is not installed (Debian: apt-get install qemu-user-static)"
fi
