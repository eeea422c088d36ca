#!/usr/bin/env bash
# Looks at an image as a Pi, a thief and a file system checker would. Part of `make image`: an image that fails is no image.
#
#   check.sh IMAGE [ROOT]
#
# ROOT is the tree that the image was packed of, for the sizes of what is in it.
#
# Exit codes: 0 all is well · 1 not, each fault on a line of its own.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/words.sh"
image=$1 tree=${2:-}
faults=0
fault() { faults=$((faults + 1)); say "         wrong: $1"; }

# Where the partitions are, as the table in the image says.
layout=$(sfdisk --json "$image")
field() { printf '%s' "$layout" | tr -d ' \n' | grep -oP '"partitions":\[\K.*' | grep -oP "\"$2\":\"?\K[0-9a-f]+" | sed -n "$1p"; }
boot_at=$(($(field 1 start) * 512)) boot_size=$(($(field 1 size) * 512))
root_at=$(($(field 2 start) * 512)) root_size=$(($(field 2 size) * 512))
[[ $(field 1 type) == c ]] || fault 'the first partition is not FAT32 (type c): a Pi 3 reads nothing else'
[[ $((boot_at % 4194304)) -eq 0 && $((root_at % 4194304)) -eq 0 ]] || fault 'a partition does not begin at a multiple of 4 MiB'

# The checkers want a file that begins with the file system: copies, with the same holes.
parts=$(mktemp --directory --tmpdir="$(dirname "$image")" check.XXXXXX)
trap 'rm -rf "$parts"' EXIT
part() { dd if="$image" of="$parts/$1" bs=1M iflag=skip_bytes,count_bytes skip="$2" count="$3" conv=sparse status=none; truncate --size="$3" "$parts/$1"; }
part boot "$boot_at" "$boot_size"
part root "$root_at" "$root_size"

fsck.vfat -n "$parts/boot" >"$parts/said" 2>&1 || { fault 'fsck.vfat finds faults on the boot partition:'; sed 's/^/  | /' "$parts/said" >&2; }
e2fsck -fn "$parts/root" >"$parts/said" 2>&1 || { fault 'e2fsck finds faults on the root:'; sed 's/^/  | /' "$parts/said" >&2; }

# -- would a Pi 3 start from it ------------------------------------------------------------------------------------------
boot() { mtype -i "$parts/boot" "::$1" 2>/dev/null; }
present() { [[ $(mdir -i "$parts/boot" -b "::$1" 2>/dev/null | wc -l) -eq 1 ]] || fault "$1 is not on the boot partition"; }
for file in bootcode.bin start.elf fixup.dat config.txt cmdline.txt bcm2837-rpi-3-b.dtb bcm2837-rpi-3-b-plus.dtb; do present "$file"; done
config=$(boot config.txt) cmdline=$(boot cmdline.txt)
grep -qx 'arm_64bit=1' <<<"$config" || fault 'config.txt does not switch the processor to 64 bits (arm_64bit=1)'
kernel=$(sed -n 's/^kernel=//p' <<<"$config")
initramfs=$(sed -n 's/^initramfs \([^ ]*\).*/\1/p' <<<"$config")
[[ -n $kernel ]] && present "$kernel" || fault 'config.txt names no kernel'
[[ -n $initramfs ]] && present "$initramfs" || fault 'config.txt names no initramfs'
[[ $(boot "$kernel" | head -c 60 | tail -c 4) == 'ARMd' ]] || fault "$kernel is no arm64 kernel"
[[ $(wc -l <<<"$cmdline") -eq 1 ]] || fault 'cmdline.txt has more than one line: the firmware reads the first only'
grep -qw 'root=LABEL=rootfs' <<<"$cmdline" || fault "cmdline.txt does not name the root by its label: $cmdline"
grep -qw 'rootwait' <<<"$cmdline" || fault 'cmdline.txt lacks rootwait: a slow card would not start'
[[ $(dumpe2fs -h "$parts/root" 2>/dev/null | sed -n 's/^Filesystem volume name: *//p') == rootfs ]] || fault 'the root is not labelled rootfs'

# -- what must not be in it ----------------------------------------------------------------------------------------------
ext4() { debugfs -R "$1" "$parts/root" 2>/dev/null; }
names() { ext4 "ls -p $1" | cut -d / -f 6 | grep -vxE '\.|\.\.|' || true; }
names /etc/ssh | grep -q '^ssh_host_' && fault '/etc/ssh holds host keys: every card would have the same'
[[ -z $(ext4 'cat /etc/machine-id') ]] || fault '/etc/machine-id is not empty: every card would be the same machine'
ext4 'cat /etc/shadow' | cut -d : -f 2 | grep -qvE '^(\*|!|!\*|!!)$' && fault '/etc/shadow holds a password, or an account without one'
ext4 'cat /etc/pikiosk/kiosk.toml' | grep -qE '^[[:space:]]*(enrollment|[a-z_]*password)[[:space:]]*=' &&
  fault '/etc/pikiosk/kiosk.toml holds a secret: it would be on every card'
for directory in /var/log /var/lib/apt/lists /root/.ssh /tmp; do
  left=$(names "$directory" | grep -vxE 'partial|lock' || true)
  [[ -z $left ]] || fault "$directory is not empty: $left"
done
grep -qE '^(127\.|::1)' <(ext4 'cat /etc/hosts') || fault '/etc/hosts does not name this machine'

[[ $faults -eq 0 ]] || stop "The image is not fit to be used: $faults faults, above." 'It is left as it is, to be looked at: '"$image"
say '         file systems clean, a Pi 3 would start from it, no secret in it'
if [[ -n $tree ]]; then
  say '         the largest of it, in MiB:'
  (cd "$tree" && du -xm --max-depth=3 . | sort -rn | grep -E '\./(usr/lib|usr|boot|var)/.' | head -n 12 | sed 's/^/           /') >&2
fi
