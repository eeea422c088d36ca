#!/usr/bin/env bash
# Packs a tree into the image of a card, without loop devices, mounts or anything random.
#
#   pack.sh ROOT IMAGE
#
#   0        4 MiB                    516 MiB                      end
#   | table  | FAT32 "bootfs" 512 MiB | ext4 "rootfs", as large as its content and 256 MiB |
#
# 512 MiB, because an upgrade keeps two kernels of 50 MiB, and other kernels come with more firmware. The root grows at
# the first start (files/grow-root). An MBR: the Pi 3's own boot code reads nothing else.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/words.sh"
root=$(cd "$1" && pwd) image=$2
mib=$((1024 * 1024))
boot_start=$((4 * mib)) boot_size=$((512 * mib))
root_start=$((boot_start + boot_size))
# What would be random is made of the date: the same inputs, the same bytes; another image, other names.
seed() { printf '%s %s' "$1" "$SOURCE_DATE_EPOCH" | sha256sum | cut -c "1-$2"; }
uuid() { seed "$1" 32 | sed -E 's/(.{8})(.{4}).(.{3}).(.{3})(.{12})/\1-\2-4\3-8\4-\5/'; }

# The root's size: its files in blocks of 4 KiB, 4 KiB more for the name and inode of each, the journal, and room to
# work in before it has grown. Files with several names count once.
content=$(cd "$root" && find . -xdev -path ./boot/firmware -prune -o -printf '%i %y %s\n' | sort -u -k 1,1 |
  awk '{ blocks += 1; if ($2 == "f") blocks += int(($3 + 4095) / 4096); if ($2 == "d") blocks += 1 } END { printf "%d", blocks * 4096 }')
root_size=$(((content + content / 50 + 16 * mib + 256 * mib + 4 * mib - 1) / (4 * mib) * (4 * mib)))

rm -f "$image"
truncate --size=$((root_start + root_size)) "$image"
sfdisk --quiet "$image" <<EOF
label: dos
label-id: 0x$(seed disk 8)
start=$((boot_start / 512)), size=$((boot_size / 512)), type=c, bootable
start=$((root_start / 512)), size=$((root_size / 512)), type=83
EOF

# -- the boot partition: one file after the other, by name ----------------------------------------------------------------
say "         boot partition, $(du -sm --apparent-size "$root/boot/firmware" | cut -f 1) of $((boot_size / mib)) MiB"
# It remarks that the image goes on after it, and that labels were once in capitals: shown only if it fails.
remarks=$(mkfs.vfat -F 32 -s 8 -n bootfs -i "$(seed boot 8)" -h $((boot_start / 512)) --offset $((boot_start / 512)) \
  --invariant "$image" $((boot_size / 1024)) 2>&1) || stop "The boot partition could not be made: $remarks"
onto="$image@@$boot_start"
(
  cd "$root/boot/firmware"
  find . -type d | sort | while IFS= read -r directory; do
    [[ $directory == . ]] || mmd -i "$onto" "::${directory#./}"
    mapfile -t -d '' files < <(find "$directory" -maxdepth 1 -type f -print0 | sort -z)
    [[ ${#files[@]} -eq 0 ]] || mcopy -i "$onto" -m -Q "${files[@]}" "::${directory#.}/"
  done
)

# -- the root ----------------------------------------------------------------------------------------------------------
say "         root, $((content / mib)) of $((root_size / mib)) MiB"
# The image's own mke2fs, by its own loader: it takes its dates from SOURCE_DATE_EPOCH, which older ones of build machines
# cannot, and so those machines' versions change no byte. Names in a directory are sorted by it. What is on the boot
# partition is not in the root too.
boot=$(dirname "$root")/boot-files
rm -rf "$boot"
mv "$root/boot/firmware" "$boot"
install -d -m 0755 "$root/boot/firmware"
touch --date="@$SOURCE_DATE_EPOCH" "$root/boot/firmware" "$root/boot"
failed=0
MKE2FS_CONFIG=$root/etc/mke2fs.conf MKE2FS_SKIP_PROGRESS=1 LC_ALL=C \
  "$root/usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1" --library-path "$root/usr/lib/aarch64-linux-gnu" \
  "$root/usr/sbin/mke2fs" -q -F -t ext4 -L rootfs -U "$(uuid root)" -J size=16 -m 1 -d "$root" \
  -E "offset=$root_start,hash_seed=$(uuid hash),root_owner=0:0,lazy_itable_init=1" \
  "$image" "$((root_size / 1024))k" || failed=$?
rmdir "$root/boot/firmware"
mv "$boot" "$root/boot/firmware"
[[ $failed -eq 0 ]] || stop 'The root file system could not be made: mke2fs says why, above.'
