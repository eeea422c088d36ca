#!/usr/bin/env bash
# Makes the package tree the system of the image: boot files, the kiosk, one initramfs, and nothing that is left over.
#
#   finish.sh ROOT BINARY PIKIOSK CONFIG TREE-NAME
#
# The order matters: provision must see the boot files that it edits (so a first run of the firmware's hook, with an
# initramfs that is empty), and the initramfs must hold what provision laid down (so that comes last).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/words.sh"
root=$(cd "$1" && pwd) binary=$2 pikiosk=$3 config=$4 tree=$5
project=$(dirname "$here")
put() { install -D --mode="${3:-0644}" "$here/$1" "$root/$2"; }

# -- what is the image's own, before the kiosk ------------------------------------------------------------------------
put files/fstab etc/fstab
put files/raspi-firmware etc/default/raspi-firmware
put files/initramfs.conf etc/initramfs-tools/conf.d/pikiosk
put files/initramfs-modules etc/initramfs-tools/modules
put files/initramfs-hook etc/initramfs-tools/hooks/pikiosk 0755
put files/grow-root usr/lib/pikiosk/grow-root 0755
install -D --mode=0644 "$project/systemd/pikiosk-grow-root.service" "$root/usr/lib/systemd/system/pikiosk-grow-root.service"
mkdir -p "$root/etc/systemd/system/sysinit.target.wants"
ln -sf /usr/lib/systemd/system/pikiosk-grow-root.service "$root/etc/systemd/system/sysinit.target.wants/"
# Nobody can log in until a kiosk.toml names keys: no port is open until then. provision switches it on.
rm -f "$root/etc/systemd/system/multi-user.target.wants/ssh.service" "$root/etc/systemd/system/sshd.service"
# mmdebstrap left this machine's own name.
printf 'pikiosk\n' >"$root/etc/hostname"
# Only while it is built: kiosk.toml may name packages that the tree does not hold.
rm -f "$root/etc/resolv.conf"
cp --dereference /etc/resolv.conf "$root/etc/resolv.conf"
# The day on which an account's password was last set, which is the day of the build: the image's day instead.
day=$((SOURCE_DATE_EPOCH / 86400))
awk -F : -v OFS=: -v day="$day" '{ $3 = day; print }' "$root/etc/shadow" >"$root/etc/shadow.new"
cat "$root/etc/shadow.new" >"$root/etc/shadow"
rm "$root/etc/shadow.new"

kernel=$(ls "$root/lib/modules" | sort -V | tail -n 1)
[[ -n $kernel ]] || stop 'The package tree holds no kernel.' 'Build again with --fresh.'
: >"$root/boot/initrd.img-$kernel"
inside "$root" env DEB_MAINT_PARAMS=configure /etc/kernel/postinst.d/z50-raspi-firmware >&2

# -- the kiosk ---------------------------------------------------------------------------------------------------------
say '         laying down the kiosk (pikiosk provision)'
provision=("$pikiosk" provision --root "$root" --config "$config" --binary "$binary")
"${provision[@]}" --yes >&2

ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"

# -- one initramfs -----------------------------------------------------------------------------------------------------
say "         the initramfs of $kernel; about a minute, emulated"
rm "$root/usr/sbin/update-initramfs" "$root/boot/initrd.img-$kernel"
inside "$root" dpkg-divert --quiet --local --rename --remove /usr/sbin/update-initramfs
inside "$root" update-initramfs -c -k "$kernel" >&2
[[ -s $root/boot/firmware/initrd.img-$kernel ]] || stop 'The initramfs was not put on the boot partition.'
# The firmware's hook wrote the boot files again. What provision asked for must have survived that.
pending=0
"${provision[@]}" --check >"$root.pending" || pending=$?
if [[ $pending -ne 0 ]]; then
  sed 's/^/  | /' "$root.pending" >&2
  stop 'The kiosk is not laid down as it should be: what is missing stands above.'
fi
rm "$root.pending"

# -- nothing left over: no traces of this machine, nothing that every card must have for itself ------------------------
cd "$root"
find dev proc sys run tmp var/tmp var/cache/apt var/lib/apt/lists var/log -xdev -mindepth 1 -delete
install -d -m 0755 var/lib/apt/lists/partial var/cache/apt/archives/partial
rm -f etc/ssh/ssh_host_* etc/machine-id var/lib/dbus/machine-id var/lib/systemd/random-seed root/.bash_history \
  var/cache/ldconfig/aux-cache var/cache/debconf/*-old var/lib/dpkg/*-old etc/{passwd,group,shadow,gshadow,subuid,subgid}- \
  etc/.pwd.lock boot/initrd.img.old boot/vmlinuz.old initrd.img.old vmlinuz.old
# Empty, not "uninitialized": each card gets its own, and systemd does not take the first start for an installation.
: >etc/machine-id

# -- one date ----------------------------------------------------------------------------------------------------------
cat >usr/lib/pikiosk/image.json <<EOF
{
  "name": "pikiosk-pi3-trixie-arm64",
  "version": "$("$pikiosk" --version | sed 's/^pikiosk //')",
  "date": "$(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)",
  "board": "Raspberry Pi 3",
  "kernel": "$kernel",
  "packages": "$tree"
}
EOF
# Whoever starts without a network believes that it is this date, not 1970: certificates are valid.
: >usr/lib/clock-epoch
# The first start has nothing to bring up to date. systemd compares with the time of /usr.
for stamp in etc/.updated var/.updated; do
  printf '# Made with the image: nothing to bring up to date.\nTIMESTAMP_NSEC=%s000000000\n' "$SOURCE_DATE_EPOCH" >"$stamp"
done
one_date() {
  find . -xdev -newermt "@$SOURCE_DATE_EPOCH" -print0 | xargs -0 --no-run-if-empty touch --no-dereference --date="@$SOURCE_DATE_EPOCH"
  touch --date="@$SOURCE_DATE_EPOCH" usr etc var usr/lib/clock-epoch etc/.updated var/.updated
}
one_date
# Its files hold the times of the directories of letters: made after those were set, so that no start makes them again.
mknod -m 666 dev/null c 1 3
inside "$root" fc-cache --system-only --force >&2
rm dev/null
one_date
