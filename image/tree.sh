#!/usr/bin/env bash
# Makes the tree of Debian's packages, or finds the one of today: prints the path of its archive.
#
#   tree.sh CACHE WORK [fresh]
#
# The key is the lists, this script, and the day, so that each day's security updates come in. An older tree of the same
# lists is used, and said so, when the packages cannot be fetched.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/words.sh"
cache=$1 work=$2 fresh=${3:-}

sources=${PIKIOSK_APT_SOURCES:-}
lists=$(cat "$here/packages" "$here/excludes" "$here/tree.sh" ${sources:+"$sources"} | sha256sum | cut -c 1-16)
archive=$cache/tree-$lists-$(date --utc +%Y%m%d).tar.zst
# Sources that are given are a snapshot: one day is as good as another.
[[ -z $sources ]] || archive=$cache/tree-$lists.tar.zst
if [[ -z $fresh && -f $archive ]]; then
  say "         kept from before: ${archive##*/}"
  printf '%s\n' "$archive"
  exit 0
fi

tree=$work/tree log=$work/packages.log
rm -rf --one-file-system "$tree"
say "         fetching and installing $(names_in "$here/packages" | wc -l) packages and what they need; about 7 minutes, in $log"

# Each package's scripts run emulated: whatever is dear there and can be done once, is done once. update-initramfs is put
# aside and run by finish.sh. dpkg need not sync each file: the tree is an archive in the end.
# In mounts of its own: those of a build that is killed would stay, and /dev/shm is among them, which the next one would
# empty with its tree.
made=yes
unshare --mount mmdebstrap --mode=root --architectures=arm64 --variant=apt --format=directory --verbose \
  --components=main,non-free-firmware --include="$(names_in "$here/packages" | paste -sd ,)" \
  --aptopt='Acquire::Retries "3"' --dpkgopt="$here/excludes" --dpkgopt=force-unsafe-io \
  --essential-hook='mkdir -p "$1/boot/firmware"' \
  --essential-hook='chroot "$1" dpkg-divert --quiet --local --rename --add /usr/sbin/update-initramfs' \
  --essential-hook='ln -s /bin/true "$1/usr/sbin/update-initramfs"' \
  --customize-hook='rm "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap" "$1/etc/apt/apt.conf.d/99mmdebstrap"' \
  --customize-hook="cp '$here/excludes' \"\$1/etc/dpkg/dpkg.cfg.d/pikiosk\"" \
  trixie "$tree" ${sources:+"$sources"} 2>&1 </dev/null | tee "$log" | sed --unbuffered -n 's/^I: /         /p' >&2 || made=''

if [[ -z $made ]]; then
  rm -rf --one-file-system "$tree"
  older=$(ls -t "$cache/tree-$lists"-*.tar.zst 2>/dev/null | head -n 1)
  if [[ -n $older && -z $fresh ]]; then
    say "         the packages could not be fetched (see $log): using ${older##*/}"
    printf '%s\n' "$older"
    exit 0
  fi
  tail -n 12 "$log" | sed 's/^/  | /' >&2
  stop 'The package tree could not be made: the last lines are above.' \
    'Is Debian'"'"'s archive reachable from here? apt-get update tells. Then try again: nothing is left half done.'
fi

say '         keeping it for the next build'
tar --create --directory="$tree" --sort=name --numeric-owner --xattrs --xattrs-include='*' \
  --exclude=./proc/* --exclude=./sys/* . | zstd --quiet -3 --threads=0 -o "$archive.part" --force
mv "$archive.part" "$archive"
rm -rf --one-file-system "$tree"
# One tree per list is enough: the others are of days gone by, 300 MB each.
find "$cache" -name 'tree-*.tar.zst' ! -path "$archive" -delete
printf '%s\n' "$archive"
