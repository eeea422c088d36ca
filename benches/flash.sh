#!/usr/bin/env bash
# `make bench-flash`: how long one card takes with pikiosk, with dd and with bmaptool, all on the same emulated card
# (20 MiB/s write, 90 MiB/s read). Takes root, 6 GB of disk and about 6 minutes for each run; leave the machine alone.
#
#   RUNS=3 benches/flash.sh        the median of three
#   PIKIOSK=path benches/flash.sh  another binary
#
# Exit code 1: slower than what is promised.
set -euo pipefail
cd "$(dirname "$0")/.."

PIKIOSK=${PIKIOSK:-target/release/pikiosk}
RUNS=${RUNS:-1}
WORK=$PWD/target/bench-flash
WRITE=$((20 << 20)) READ=$((90 << 20)) CARD=$((1536 << 20))

say() { printf '%s\n' "$*" >&2; }
[[ $(id -u) -eq 0 ]] || { say 'Emulated cards are loop devices in a cgroup of their own: run this as root.'; exit 1; }
[[ -e /dev/loop-control ]] || { say 'There are no loop devices here.'; exit 1; }
for tool in bmaptool:bmap-tools mkfs.vfat:dosfstools mcopy:mtools mke2fs:e2fsprogs xz:xz-utils sfdisk:fdisk; do
  command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
done
if [[ -n ${missing[*]:-} ]]; then
  say "Installing: ${missing[*]}"
  DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}" >/dev/null
fi
mkdir -p "$WORK"

# 1288 MiB laid out as Raspberry Pi OS is: FAT with the firmware's names, ext4 with programs; 60 % of it in use.
make_image() {
  local image=$WORK/new.img root=$WORK/root fat=$WORK/fat.img ext=$WORK/ext.img
  say 'Making the image (once) …'
  rm -rf "$root" "$image" "$fat" "$ext"
  mkdir -p "$root"
  # What programs are made of: real ones, in files of 8 MiB.
  while (($(du -sm "$root" | cut -f1) < 770)); do
    { tar -c -C / usr/bin usr/lib 2>/dev/null || true; } | head -c 770M | split -b 8M -a 4 - "$root/$(du -sm "$root" | cut -f1)-"
  done
  find "$root" -type f | sort | tail -n +97 | xargs -r rm
  truncate --size 64M "$fat"
  mkfs.vfat -F 32 -s 1 "$fat" >/dev/null
  for name in bootcode.bin start.elf kernel8.img bcm2710-rpi-3-b.dtb config.txt cmdline.txt; do
    head -c 4M "$(find "$root" -type f | head -n 1)" > "$WORK/part"
    MTOOLS_SKIP_CHECK=1 mcopy -i "$fat" "$WORK/part" "::$name"
  done
  truncate --size 1216M "$ext"
  mke2fs -q -t ext4 -d "$root" "$ext"
  truncate --size 1288M "$image"
  printf 'label: dos\nstart=16384, size=131072, type=c\nstart=147456, type=83\n' | sfdisk --quiet "$image"
  dd if="$fat" of="$image" bs=1M seek=8 conv=notrunc,sparse status=none
  dd if="$ext" of="$image" bs=1M seek=72 conv=notrunc,sparse status=none
  bmaptool --quiet create -o "$WORK/image.bmap" "$image"
  xz --threads=0 -2 --keep --stdout "$image" > "$WORK/image.img.xz"
  rm -rf "$root" "$fat" "$ext" "$WORK/part"
  mv "$image" "$WORK/image.img"
}
[[ -e $WORK/image.img ]] || make_image

cat > "$WORK/on-cards" <<'STEPS'
#!/usr/bin/env bash
# Runs inside the throttle; writes NAME SECONDS lines to $TIMES.
set -euo pipefail
timed() {
  local name=$1 begin=$EPOCHREALTIME
  shift
  "$@" >"$WORK/$name.log" 2>&1 || { tail -n 20 "$WORK/$name.log" >&2; exit 1; }
  awk -v b="$begin" -v e="$EPOCHREALTIME" -v n="$name" 'BEGIN { printf "%s %.2f\n", n, e - b }' | tee -a "$TIMES" >&2
}
dd_verified() {
  xz --decompress --stdout "$WORK/image.img.xz" | dd of="$1" bs=4M iflag=fullblock oflag=direct conv=fsync
  cmp <(dd if="$1" bs=4M iflag=direct,count_bytes count="$(stat -c %s "$WORK/image.img")") "$WORK/image.img"
}
pikiosk() {
  local to=()
  for card in $CARDS; do to+=(--to "$card"); done
  "$PIKIOSK" flash "$WORK/image.img.xz" "${to[@]}" --allow-loop --allow-size --yes --receipts "$WORK/receipts" "$@"
}
case $1 in
  dd) timed dd dd_verified "$CARDS" ;;
  bmaptool) timed bmaptool bmaptool copy --bmap "$WORK/image.bmap" "$WORK/image.img.xz" "$CARDS" ;;
  one) timed one pikiosk; timed again pikiosk --again ;;
  four) timed four pikiosk ;;
esac
STEPS
chmod +x "$WORK/on-cards"

export WORK PIKIOSK TIMES=$WORK/times
PIKIOSK=$(realpath "$PIKIOSK")
: > "$TIMES"
for ((run = 0; run < RUNS; run++)); do
  for what in dd:1 bmaptool:1 one:1 four:4; do
    benches/emulated-card "$WRITE" "$READ" "$CARD" "${what##*:}" -- "$WORK/on-cards" "${what%%:*}"
  done
done

awk '
  { times[$1] = times[$1] " " $2 }
  function median(name,   n, list, i, j, swap) {
    n = split(times[name], list, " ")
    for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (list[j] + 0 < list[i] + 0) { swap = list[i]; list[i] = list[j]; list[j] = swap }
    return list[int((n + 1) / 2)]
  }
  function row(what, seconds) { printf "  %-46s %7.1f s\n", what, seconds }
  function ratio(what, a, b, most) {
    printf "  %-46s %7.2f   at most %.2f  %s\n", what, a / b, most, a / b <= most ? "ok" : "TOO SLOW"
    if (a / b > most) bad = 1
  }
  END {
    dd = median("dd"); bmap = median("bmaptool"); one = median("one"); four = median("four"); again = median("again")
    row("xz | dd, and read back", dd); row("bmaptool, which does not read back", bmap)
    row("pikiosk flash, read back", one); row("pikiosk flash, 4 cards at once, read back", four); row("pikiosk flash --again", again)
    ratio("pikiosk / dd", one, dd, 0.65); ratio("pikiosk / bmaptool", one, bmap, 1.30)
    ratio("4 cards / 1 card", four, one, 1.15); ratio("again / first", again, one, 0.35)
    exit bad
  }' "$TIMES"
