#!/usr/bin/env bash
# Packs the programs that cross/build.sh made:
#
#   cross/package.sh <architecture>… | all
#
# For each, beside the program in dist/<target>/: a deb, an rpm, a tar with an installer for systems without systemd,
# a CycloneDX list of what is built in (.cdx.json), SHA256SUMS over all of it, and SHA256SUMS.minisig when
# INUSE_RELEASE_KEY names a minisign secret key. The same input gives the same bytes: times are SOURCE_DATE_EPOCH, else
# those of the last commit.
#
# INUSE_PROGRAM packs another build of the program, INUSE_VERSION gives it another version, INUSE_OUT names another
# folder for what is made.
set -euo pipefail

fail() { printf 'package: %s\n' "$*" >&2; exit 1; }
say() { printf 'package: %s\n' "$*" >&2; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
. cross/targets.sh

names=()
for name in "$@"; do
  case $name in
    all) names+=("${all[@]}") ;;
    *) [ -n "${targets[$name]:-}" ] || fail "which ones? ${all[*]}, or all"; names+=("$name") ;;
  esac
done
[ ${#names[@]} -gt 0 ] || fail "which ones? ${all[*]}, or all"

missing=()
command -v dpkg-deb >/dev/null || missing+=(dpkg)
command -v rpmbuild >/dev/null || missing+=(rpm)
[ -z "${INUSE_RELEASE_KEY:-}" ] || command -v minisign >/dev/null || missing+=(minisign)
[ ${#missing[@]} -eq 0 ] || fail "not installed: ${missing[*]} (Debian: apt-get install ${missing[*]})"

version=${INUSE_VERSION:-$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)}
case $version in [0-9]*) ;; *) fail "no version in Cargo.toml" ;; esac
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export LC_ALL=C TZ=UTC
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# furnish <program> <folder>: what every package puts on a system.
furnish() {
  install -Dm755 "$1" "$2/usr/bin/inuse-agent"
  install -Dm644 systemd/inuse-agent.service "$2/usr/lib/systemd/system/inuse-agent.service"
  install -Dm644 systemd/inuse-update.service "$2/usr/lib/systemd/system/inuse-update.service"
  # Enabled by the package: it does nothing but after an interrupted update.
  install -d "$2/usr/lib/systemd/system/multi-user.target.wants"
  ln -s ../inuse-update.service "$2/usr/lib/systemd/system/multi-user.target.wants/"
  install -Dm644 systemd/inuse-agent.sysusers.conf "$2/usr/lib/sysusers.d/inuse-agent.conf"
  install -Dm644 systemd/inuse-agent.tmpfiles.conf "$2/usr/lib/tmpfiles.d/inuse-agent.conf"
  install -Dm644 config/agent.toml "$2/etc/inuse/agent.toml"
  install -Dm644 config/manifest.toml "$2/usr/share/inuse/manifest.toml"
  install -Dm644 cross/package/credentials.conf "$2/usr/share/inuse/credentials.conf"
  install -Dm755 cross/package/credentials.sh "$2/usr/share/inuse/credentials.sh"
  install -Dm644 LICENSE "$2/usr/share/doc/inuse-agent/copyright"
}

# stamp <folder>: one time for everything.
stamp() { find "$1" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +; }

# fill <file> [<architecture> <kib>]: a template's text.
fill() {
  sed -e "s/@DEBVERSION@/${version//-/\~}/g" -e "s/@VERSION@/$version/g" -e "s/@ARCH@/${2:-}/g" -e "s/@KIB@/${3:-}/g" \
    -e "s/@MAINTAINER@/${INUSE_MAINTAINER:-inuse developers <nobody@localhost>}/g" "$1"
}

deb() {
  local tree=$work/deb arch=${debs[$1]}
  furnish "$program" "$tree"
  mkdir -p "$tree/DEBIAN"
  fill cross/package/deb/control "$arch" "$(du -sk --apparent-size "$tree" | cut -f1)" >"$tree/DEBIAN/control"
  echo /etc/inuse/agent.toml >"$tree/DEBIAN/conffiles"
  (cd "$tree" && find . -type f ! -path './DEBIAN/*' -printf '%P\n' | sort | xargs md5sum) >"$tree/DEBIAN/md5sums"
  for script in preinst postinst prerm postrm; do
    fill "cross/package/deb/$script" >"$tree/DEBIAN/$script"
    chmod 755 "$tree/DEBIAN/$script"
  done
  stamp "$tree"
  dpkg-deb --root-owner-group -Zxz --build "$tree" "$dist/inuse-agent_${version//-/\~}_$arch.deb" >&2
}

rpm() {
  local tree=$work/rpm arch=${rpms[$1]}
  furnish "$program" "$tree"
  stamp "$tree"
  rpmbuild -bb --quiet --target "$arch-linux" --define "_topdir $work/rpmbuild" --define "_rpmdir $work/rpms" \
    --define "inuse_version ${version//-/\~}" --define "inuse_tree $tree" cross/package/inuse-agent.spec >&2
  find "$work/rpms" -name '*.rpm' -exec mv {} "$dist/" \;
}

tarball() {
  local tree=$work/inuse-agent-$version-$1
  furnish "$program" "$tree/files"
  cp -r cross/package/tar/. "$tree/"
  fill cross/package/tar/install.sh >"$tree/install.sh"
  echo "$version" >"$tree/VERSION"
  chmod 755 "$tree/install.sh" "$tree"/init/*
  stamp "$tree"
  tar --create --sort=name --owner=0 --group=0 --numeric-owner --directory "$work" "$(basename "$tree")" \
    | gzip -9n >"$dist/inuse-agent-$version-$1.tar.gz"
}

for name in "${names[@]}"; do
  dist=dist/${targets[$name]}
  program=${INUSE_PROGRAM:-$dist/inuse-agent}
  [ -f "$program" ] || fail "$program is not there: cross/build.sh $name makes it"
  dist=${INUSE_OUT:-$dist}
  mkdir -p "$dist"
  rm -rf "${work:?}"/* "$dist"/inuse-agent[_-]"$version"[_.-]* "$dist"/inuse-agent[_-]"${version//-/\~}"[_-]*
  deb "$name"
  rpm "$name"
  tarball "$name"
  python3 cross/sbom.py "${targets[$name]}" "$version" "$program" >"$dist/inuse-agent-$version.cdx.json"
  (cd "$dist" && find . -maxdepth 1 -type f ! -name 'SHA256SUMS*' -printf '%P\n' | sort | xargs sha256sum >SHA256SUMS)
  rm -f "$dist/SHA256SUMS.minisig"
  if [ -n "${INUSE_RELEASE_KEY:-}" ]; then
    minisign -S -s "$INUSE_RELEASE_KEY" -m "$dist/SHA256SUMS" -t "inuse-agent $version ${targets[$name]}" >&2 </dev/null
  fi
  say "$dist: $(cd "$dist" && ls | tr '\n' ' ')"
done
