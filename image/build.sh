#!/usr/bin/env bash
# Builds the image of a Raspberry Pi 3 with Debian and the kiosk: `make image` runs it, and `pikiosk image build`.
#
#   packages, excludes --tree.sh--> cache/tree-KEY.tar.zst     Debian's packages, nothing of ours (kept: 7 minutes)
#                      --finish.sh-> work/root                 + boot files, the kiosk (pikiosk provision), initramfs
#                      --pack.sh---> NAME.img                  FAT + ext4, without loop devices or mounts
#                      --check.sh--> clean, bootable, no secret in it
#                      --describe--> NAME.img.xz .bmap .sha256 .sbom.json .manifest.json
#
# The same inputs (package tree, the two programs, the configuration, SOURCE_DATE_EPOCH) give the same bytes.
#
# Rejected: loop devices and mounts. They need what containers do not have, and a build that is stopped leaves them.
#
# Exit codes: 0 built · 1 failed, the words say where · 2 usage.
set -euo pipefail
export LC_ALL=C.UTF-8 TZ=UTC PATH=$PATH:/usr/sbin:/sbin
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/words.sh"

usage() {
  cat >&2 <<EOF
Usage: image/build.sh [options]
  --out DIR        where the image is written (target/image)
  --config FILE    kiosk.toml for every card made from this image (image/kiosk.toml; flash gives each card its own)
  --binary FILE    the arm64 pikiosk (target/aarch64/pikiosk: make aarch64)
  --pikiosk FILE   the pikiosk of this machine, which lays the kiosk down (target/debug/pikiosk: cargo build)
  --fresh          fetch the packages again, even if there is a tree of today
  --no-xz          leave out the .img.xz, which takes the longest
SOURCE_DATE_EPOCH is the image's date, in seconds since 1970; without it, that of the last commit.
PIKIOSK_APT_SOURCES names a file of apt sources to use instead of Debian's usual ones (a snapshot, to build again later).
EOF
  exit 2
}

project=$(dirname "$here")
out=$project/target/image config=$here/kiosk.toml binary=$project/target/aarch64/pikiosk
pikiosk=$project/target/debug/pikiosk fresh='' xz=yes
given=("$@")
while [[ $# -gt 0 ]]; do
  case $1 in
    --out | --config | --binary | --pikiosk) [[ $# -ge 2 ]] || usage; declare "${1#--}=$2"; shift 2 ;;
    --fresh) fresh=yes; shift ;;
    --no-xz) xz=''; shift ;;
    *) usage ;;
  esac
done

[[ -x $pikiosk ]] || stop "There is no $pikiosk." 'Build it: cargo build'
[[ -f $binary ]] || stop "There is no $binary, the program for the Pi." 'Build it: make aarch64'
[[ -f $config ]] || stop "There is no $config."
if [[ -z ${SOURCE_DATE_EPOCH:-} ]]; then
  SOURCE_DATE_EPOCH=$(git -C "$project" log -1 --format=%ct 2>/dev/null) || SOURCE_DATE_EPOCH=$(stat -c %Y "$here/packages")
fi
export SOURCE_DATE_EPOCH

"$here/needs"
if [[ $(id -u) -ne 0 ]]; then
  # Owners and device nodes of another system: only root can make them.
  command -v sudo >/dev/null || stop 'Building an image needs root, and there is no sudo here.' 'Run it as root.'
  say 'Building an image needs root: sudo may ask for your password.'
  exec sudo --preserve-env=SOURCE_DATE_EPOCH,PIKIOSK_APT_SOURCES "$here/build.sh" "${given[@]}"
fi

mkdir -p "$out"
out=$(cd "$out" && pwd)
exec 9>"$out/.lock"
flock --nonblock 9 || stop "Another build is at work in $out." 'Wait for it, or give --out another directory.'
name=pikiosk-pi3-trixie-arm64
work=$out/work
root=$work/root
mkdir -p "$work" "$out/cache"

step 'Debian packages'
tree=$("$here/tree.sh" "$out/cache" "$work" "$fresh")

step 'The kiosk'
rm -rf --one-file-system "$root"
mkdir "$root"
tar --extract --zstd --file="$tree" --directory="$root" --numeric-owner --xattrs --xattrs-include='*'
"$here/finish.sh" "$root" "$binary" "$pikiosk" "$config" "$(basename "$tree" .tar.zst)"

step 'File systems'
rm -f "$out/$name".*
"$here/pack.sh" "$root" "$out/$name.img"

step 'Check'
"$here/check.sh" "$out/$name.img" "$root"

step 'What travels beside it'
"$pikiosk" image describe "$out/$name.img"
if [[ -n $xz ]]; then
  # Blocks, so that it can be decoded by several processors too, and so that their number here changes no byte.
  xz --threads=0 --block-size=16MiB -3 --keep --stdout "$out/$name.img" >"$out/$name.img.xz.part"
  mv "$out/$name.img.xz.part" "$out/$name.img.xz"
  (cd "$out" && sha256sum "$name.img.xz" >>"$name.img.sha256")
fi
rm -rf --one-file-system "$work"
[[ -z ${SUDO_UID:-} ]] || chown -R "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$out"
done_in
ls -lsh "$out/$name".* >&2
say "" "Onto a card: pikiosk flash $out/$name.img --to /dev/sdX --config kiosk.toml"
