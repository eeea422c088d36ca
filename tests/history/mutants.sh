#!/bin/sh
# The history checker must find out every server that breaks a promise: applies each patch of mutants/ to a copy of the
# last commit, builds it, lets it be judged, and expects that to fail. Ends with 1 if one was not found out.
#
#   tests/history/mutants.sh [NAME ...]      some of them, such as no_fsync
set -eu
cd "$(dirname "$0")/../.."
root=$PWD/target/mutants
copy=$root/tree
: "${CARGO:=cargo}"
mkdir -p "$root"
git worktree remove --force "$copy" 2>/dev/null || true
git worktree prune
git worktree add --quiet --detach "$copy" HEAD
trap 'git worktree remove --force "$copy"' EXIT
alone=$([ "$(id -u)" = 0 ] && unshare --net true 2>/dev/null && echo unshare --net || true)

judge() { # NAME: success if the run failed by the judge's word
  (cd "$copy" && $CARGO test --quiet --no-default-features --features server --target-dir "$root/build" \
    --test history --no-run >"$root/$1.log" 2>&1) || { tail -n 20 "$root/$1.log"; echo "$1: does not build"; exit 1; }
  for seed in 1 2 3; do
    if ! (cd "$copy" && PIKIOSK_SEED=$seed PIKIOSK_COMMANDS="${PIKIOSK_COMMANDS:-3000}" $alone tests/history/alone.sh \
      cargo test --offline --quiet --no-default-features --features server --target-dir "$root/build" \
      --test history whatever_goes_wrong -- --nocapture >"$root/$1.log" 2>&1); then
      return 0
    fi
  done
  return 1
}

missed=
for patch in tests/history/mutants/*.patch; do
  name=$(basename "$patch" .patch)
  case " ${*:-$name} " in *" $name "*) ;; *) continue ;; esac
  git -C "$copy" checkout --quiet --force .
  git -C "$copy" apply "$PWD/$patch" || { echo "$name: the patch no longer applies: make it anew"; exit 1; }
  if judge "$name" && grep -q 'promises broken' "$root/$name.log"; then
    echo "$name: found out: $(grep -E '^(Lost|Twice|Order|SilentGap|FalseAlarm|FalseReceipt|State): ' "$root/$name.log" | tr '\n' ' ')"
  else
    echo "$name: NOT FOUND OUT (see $root/$name.log)"
    missed=yes
  fi
done
[ -z "$missed" ]
