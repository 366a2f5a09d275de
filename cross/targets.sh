# The architectures gateways have: our name, Rust's target, and what Debian and rpm call them. Read by the other scripts.
# shellcheck shell=bash disable=SC2034

# loongarch64 by its name alone, until the library for serial ports has it.
all=(aarch64 armv7 arm armv5 x86_64 riscv64)
declare -A targets=(
  [aarch64]=aarch64-unknown-linux-musl
  [armv7]=armv7-unknown-linux-musleabihf
  [arm]=arm-unknown-linux-musleabihf
  [armv5]=armv5te-unknown-linux-musleabi
  [x86_64]=x86_64-unknown-linux-musl
  [riscv64]=riscv64gc-unknown-linux-musl
  [loongarch64]=loongarch64-unknown-linux-musl
)
# The OPC UA client counts in 64-bit atomics, which an ARMv5 does not have: its standard set is the small one.
declare -A without_opcua=([armv5]=yes)
declare -A debs=(
  [aarch64]=arm64 [armv7]=armhf [arm]=armhf [armv5]=armel [x86_64]=amd64 [riscv64]=riscv64 [loongarch64]=loong64
)
declare -A rpms=(
  [aarch64]=aarch64 [armv7]=armv7hl [arm]=armv6hl [armv5]=armv5tel [x86_64]=x86_64 [riscv64]=riscv64
  [loongarch64]=loongarch64
)
