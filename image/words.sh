# What the scripts here say, and how they stop; sourced. Words go to stderr: stdout is for results.

say() { printf '%s\n' "$@" >&2; }
stop() { say "$1"; shift; for line in "$@"; do say "  $line"; done; exit 1; }

# One line per step, with the seconds since the build began: no silent wait is longer than the step that is named.
step() { printf '[%4d s] %s …\n' "$SECONDS" "$1" >&2; }
done_in() { printf '[%4d s] done\n' "$SECONDS" >&2; }

# The lines of a file of names: comments and blanks left out.
names_in() { sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' "$1"; }

# Runs a program of the image's own system, with what programs expect there; the mounts vanish with it.
inside() {
  local root=$1
  shift
  unshare --mount --pid --fork --mount-proc="$root/proc" env --ignore-environment \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TZ=UTC \
    DEBIAN_FRONTEND=noninteractive SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" chroot "$root" "$@"
}
