#!/bin/sh
# Installs the agent on a gateway without a package manager of its own. Plain sh and BusyBox are enough.
#
#   ./install.sh                      install, or upgrade what is installed; key and backlog stay
#   ./install.sh roll-back            what was there before the last upgrade again
#   ./install.sh remove               take the program and the service away; key and backlog stay
#   ./install.sh purge                take everything away
#
#   --init systemd|openrc|procd|sysv  which service manager, when the guess is wrong
#   --state <folder>                  where key and backlog live: not on a file system in memory
#   --downgrade                       install an older version than the one that is there
#   --root <folder>                   into another root, starting nothing
set -eu

version='@VERSION@'
here=$(cd "$(dirname "$0")" && pwd)
action=install init='' state='' root='' downgrade=''

fail() { echo "install.sh: $*" >&2; exit 1; }

while [ $# -gt 0 ]; do
    case $1 in
        install|roll-back|remove|purge) action=$1 ;;
        --init) shift; init=${1:-} ;;
        --state) shift; state=${1:-} ;;
        --root) shift; root=${1%/} ;;
        --downgrade) downgrade=yes ;;
        *) sed -n '4,13s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
    esac
    shift
done
[ "$(id -u)" = 0 ] || fail "run it as root"

guess_init() {
    if [ -d "$root/run/systemd/system" ] || { [ -n "$root" ] && [ -d "$root/usr/lib/systemd" ]; }; then echo systemd
    elif [ -x "$root/sbin/procd" ]; then echo procd
    elif [ -x "$root/sbin/openrc-run" ] || [ -x "$root/usr/sbin/openrc-run" ]; then echo openrc
    elif [ -d "$root/etc/init.d" ]; then echo sysv
    else fail "no service manager was recognised: say --init systemd, openrc, procd or sysv"
    fi
}
share=$root/usr/share/inuse
[ -n "$init" ] || init=$(cat "$share/INIT" 2>/dev/null) || init=$(guess_init)
case $init in systemd|openrc|procd|sysv) ;; *) fail "--init systemd, openrc, procd or sysv" ;; esac

# Where things are on this system.
program=$root/usr/bin/inuse-agent
etc=$root/etc/inuse
units=$root/usr/lib/systemd/system
case $init in
    systemd) service=$units/inuse-agent.service ;;
    *) service=$root/etc/init.d/inuse-agent ;;
esac
# Unlike /var, never in memory.
updates=/usr/share/inuse/update

# The folder that agent.toml names, once it is there.
state_of() {
    [ -f "$etc/agent.toml" ] || return 0
    named=$(sed -n 's/^[[:space:]]*state_dir[[:space:]]*=[[:space:]]*"\(\/[^"]*\)"[[:space:]]*\(#.*\)*$/\1/p' "$etc/agent.toml")
    [ -n "$named" ] || fail "state_dir in $etc/agent.toml is not one absolute path in double quotes: write it so"
    echo "$named"
}

# real <folder>: where it is or would be, with no symbolic link on the way: /var is often one into memory.
real() {
    beyond='' at=$root$1
    while [ ! -d "$at" ]; do beyond=/$(basename "$at")$beyond; at=$(dirname "$at"); done
    at=$(cd "$at" && pwd -P)
    echo "${at%/}$beyond"
}

# in_memory <folder>: whether the nearest mount above it forgets everything at the next boot.
in_memory() {
    awk -v folder="$(real "$1")" '
        { at = $2; if (at != "/") at = at "/" }
        index(folder "/", at) == 1 && length(at) >= longest { longest = length(at); kind = $3 }
        END { exit !(kind == "tmpfs" || kind == "ramfs") }' /proc/mounts
}

is_mount() { awk -v folder="$(real "$1")" '$2 == folder { found = 1 } END { exit !found }' /proc/mounts; }

# usable_state <folder>: it must become the agent's own, with nobody else's files in it.
usable_state() {
    case $1 in /*/*) ;; *) fail "$1 is no folder for key and backlog: name one of its own, such as /mnt/data/inuse" ;; esac
    [ -d "$root$1" ] || return 0
    if is_mount "$1"; then fail "$1 is a whole file system: name a folder on it, such as $1/inuse"; fi
    [ -z "$(ls -A "$root$1")" ] || [ -e "$root$1/agent.key" ] || [ "$(stat -c %U "$root$1" 2>/dev/null)" = inuse ] \
        || fail "$1 holds something else already: name a folder of its own"
}

# older <a> <b>: whether version a comes before version b.
older() {
    [ "$1" != "$2" ] && awk -v a="$1" -v b="$2" 'BEGIN {
        split(a, x, /[.-]/); split(b, y, /[.-]/)
        for (i = 1; i <= 3; i++) if (x[i] + 0 != y[i] + 0) exit !(x[i] + 0 < y[i] + 0)
        if (a ~ /-/ && b ~ /-/) exit !(substr(a, index(a, "-")) < substr(b, index(b, "-")))
        exit !(a ~ /-/)
    }'
}

installed_version() { cat "$share/VERSION" 2>/dev/null || true; }

# tell <start|stop|restart|enable|disable>
tell() {
    [ -z "$root" ] || return 0
    case $init:$1 in
        systemd:*) systemctl "$1" inuse-agent ;;
        openrc:enable) rc-update add inuse-agent default ;;
        openrc:disable) rc-update del inuse-agent default ;;
        openrc:*) rc-service inuse-agent "$1" ;;
        sysv:disable)
            if command -v update-rc.d >/dev/null; then update-rc.d -f inuse-agent remove
            elif command -v chkconfig >/dev/null; then chkconfig --del inuse-agent; fi
            rm -f /etc/init.d/S95inuse-agent /etc/rcS.d/S95inuse-agent ;;
        *) "$service" "$1" ;;
    esac
}

running() {
    [ -z "$root" ] || return 1
    case $init in
        systemd) systemctl is-active --quiet inuse-agent ;;
        openrc) rc-service inuse-agent status >/dev/null 2>&1 ;;
        *) [ -x "$service" ] && "$service" running ;;
    esac
}

# add <file> <line>: a line of passwd or group that is not there yet.
add() { grep -q "^inuse:" "$1" || echo "$2" >>"$1"; }

make_user() {
    if [ -z "$root" ] && command -v useradd >/dev/null; then
        grep -q '^inuse:' /etc/passwd || useradd --system --user-group --home-dir "$1" --no-create-home --shell /bin/false inuse
        return
    fi
    id=$(awk -F: '{ taken[$3] = 1 } END { id = 450; while (id in taken) id++; print id }' "$root/etc/passwd" "$root/etc/group")
    add "$root/etc/group" "inuse:x:$id:"
    add "$root/etc/passwd" "inuse:x:$id:$id:inuse agent:$1:/bin/false"
    [ ! -f "$root/etc/shadow" ] || add "$root/etc/shadow" 'inuse:!:19000::::::'
}

owner() { awk -F: '$1 == "inuse" { print $3 ":" $4 }' "$root/etc/passwd"; }

# place <mode> <from> <to>: as a whole or not at all, also over a program that runs.
place() {
    mkdir -p "$(dirname "$3")"
    cp "$2" "$3.new"
    chmod "$1" "$3.new"
    chown 0:0 "$3.new"
    # Else a power cut may leave the new name with nothing in it.
    sync
    mv -f "$3.new" "$3"
}

# each_replaced <command>: for what an upgrade replaces and a roll-back brings again; the program last, by which a
# half-done one is known.
each_replaced() {
    for file in "$service" "$units/inuse-update.service" "$share/manifest.toml" "$share/credentials.conf" \
        "$share/credentials.sh" "$share/install.sh" "$share/VERSION" "$program"; do
        "$1" "$file" "$share/previous/$(echo "${file#"$root"}" | tr / _)"
    done
}

keep_one() { [ ! -f "$1" ] || cp -p "$1" "$2"; }

bring_back() { if [ -f "$2" ]; then cp -p "$2" "$1.new" && sync && mv -f "$1.new" "$1"; else rm -f "$1"; fi; }

# Keeps what is installed, to go back to. What was kept before is of an older one and goes first: without this one
# there is no way back, rather than a wrong one.
keep() {
    rm -rf "$share/previous"
    mkdir -p "$share/previous"
    each_replaced keep_one
    sync
}

do_install() {
    old=$(installed_version)
    if [ -n "$old" ] && older "$version" "$old" && [ -z "$downgrade" ]; then
        fail "$old is installed and $version is older: not installed (--downgrade, when it is on purpose)"
    fi
    [ -x "$here/files/usr/bin/inuse-agent" ] || fail "files/usr/bin/inuse-agent is not beside this script: unpack the whole archive"
    "$here/files/usr/bin/inuse-agent" --version >/dev/null 2>&1 || [ -n "$root" ] \
        || fail "the program does not run here: is this archive for another architecture ($(uname -m))?"
    kept=$(state_of)
    if [ -n "$kept" ] && [ -n "$state" ] && [ "$kept" != "$state" ]; then
        fail "agent.toml says state_dir = \"$kept\": key and backlog are there; move them by hand and change it there"
    fi
    state=${kept:-${state:-/var/lib/inuse}}
    usable_state "$state"
    if [ -z "$root" ] && in_memory "$state"; then
        fail "$state is in memory and would be lost at the next boot: say --state <folder on flash>"
    fi
    was_running=''
    if running; then was_running=yes; fi
    make_user "$state"
    mkdir -p "$root$state" "$etc/secrets"
    chmod 700 "$root$state" "$etc/secrets"
    chown "$(owner)" "$root$state"
    [ "$init" = systemd ] || chown "$(owner)" "$etc/secrets"
    if [ ! -f "$etc/agent.toml" ]; then
        place 644 "$here/files/etc/inuse/agent.toml" "$etc/agent.toml"
        sed "s|^state_dir = .*|state_dir = \"$state\"|" "$etc/agent.toml" >"$etc/agent.toml.new"
        mv "$etc/agent.toml.new" "$etc/agent.toml"
    fi
    if [ -f "$program" ] && { [ "$old" != "$version" ] || ! cmp -s "$program" "$here/files/usr/bin/inuse-agent"; }; then
        keep
        [ -z "$was_running" ] || : >"$share/previous/was-running"
    fi
    place 755 "$here/files/usr/bin/inuse-agent" "$program"
    place 644 "$here/files/usr/share/inuse/manifest.toml" "$share/manifest.toml"
    place 755 "$here/install.sh" "$share/install.sh"
    echo "$version" >"$share/VERSION"
    echo "$init" >"$share/INIT"
    if [ "$init" = systemd ]; then
        place 644 "$here/files/usr/lib/systemd/system/inuse-agent.service" "$service"
        # It finishes an update that a power cut interrupted; packages keep theirs elsewhere.
        place 644 "$here/files/usr/lib/systemd/system/inuse-update.service" "$units/inuse-update.service"
        sed "s|/var/lib/inuse-update|$updates|" "$units/inuse-update.service" >"$units/inuse-update.service.new"
        mv "$units/inuse-update.service.new" "$units/inuse-update.service"
        mkdir -p "$units/multi-user.target.wants"
        ln -sf ../inuse-update.service "$units/multi-user.target.wants/"
        place 644 "$here/files/usr/share/inuse/credentials.conf" "$share/credentials.conf"
        place 755 "$here/files/usr/share/inuse/credentials.sh" "$share/credentials.sh"
        [ -n "$root" ] || "$share/credentials.sh"
        if [ "$state" != /var/lib/inuse ]; then
            mkdir -p "$service.d"
            printf '[Service]\nReadWritePaths=%s\n' "$state" >"$service.d/20-state.conf"
        fi
        [ -n "$root" ] || systemctl daemon-reload
    else
        place 755 "$here/init/$init" "$service"
    fi
    sync
    if [ -n "$was_running" ]; then tell restart; fi
    echo "inuse-agent $version is installed${old:+ (before: $old)}; state in $state, service manager: $init"
    if [ -z "$old" ]; then
        echo "next: put manifest.toml beside $etc/agent.toml (example: /usr/share/inuse/manifest.toml), try it with"
        echo "      \`inuse-agent probe\`, \`inuse-agent enrol --server <host>:8884 --token -\`, then:"
        case $init in
            systemd) echo "      systemctl enable --now inuse-agent" ;;
            openrc) echo "      rc-update add inuse-agent default && rc-service inuse-agent start" ;;
            *) echo "      /etc/init.d/inuse-agent enable && /etc/init.d/inuse-agent start" ;;
        esac
    fi
}

do_roll_back() {
    [ -d "$share/previous" ] || fail "there is nothing of before this one"
    each_replaced bring_back
    [ -f "$units/inuse-update.service" ] || rm -f "$units/multi-user.target.wants/inuse-update.service"
    sync
    # One that the upgrade stopped starts again, too.
    was_running=''
    if running || [ -f "$share/previous/was-running" ]; then was_running=yes; fi
    rm -rf "$share/previous"
    [ "$init" != systemd ] || [ -n "$root" ] || systemctl daemon-reload
    if [ -n "$was_running" ]; then tell restart; fi
    echo "inuse-agent $(installed_version) is back"
}

do_remove() {
    if running; then tell stop; fi
    tell disable >/dev/null 2>&1 || true
    rm -f "$program" "$service" "$units/inuse-update.service" "$units/multi-user.target.wants/inuse-update.service"
    rm -rf "$share" "$service.d"
    [ "$init" != systemd ] || [ -n "$root" ] || systemctl daemon-reload
    echo "inuse-agent is removed; $etc and $(state_of) are kept"
}

do_purge() {
    state=$(state_of)
    do_remove >/dev/null
    # Only what is the agent's: a folder of somebody else's that agent.toml names by mistake stays.
    if [ -n "$state" ] && { [ -e "$root$state/agent.key" ] || [ -e "$root$state/buffer.db" ]; }; then rm -rf "$root$state"; fi
    [ ! -d "$root$state" ] || rmdir "$root$state" 2>/dev/null || echo "$state holds something else and stays" >&2
    rm -rf "$etc"
    echo "inuse-agent is removed with its key, its chain and what waited for a receipt"
}

case $action in
    install) do_install ;;
    roll-back) do_roll_back ;;
    remove) do_remove ;;
    purge) do_purge ;;
esac
