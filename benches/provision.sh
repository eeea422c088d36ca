#!/usr/bin/env bash
# Provisions a real Debian root twice, and lets ansible do the same on a copy of it: the same packages, accounts, files,
# links and edits, from inside the root (no ssh, no transport). Prints what the second run of each takes, and the ratio.
#
#   benches/provision.sh        needs root, mmdebstrap and the network; some minutes, most of them for packages
#
# Exit codes: 0 at least 20 times faster, nothing changed, at most 0.3 s · 1 not so.
set -euo pipefail
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$project/target/bench/provision
pikiosk=${PIKIOSK:-$project/target/release/pikiosk}
runs=${RUNS:-5}
say() { printf '%s\n' "$@"; }
[[ $(id -u) -eq 0 ]] || { say 'Only root can do this: it runs the programs of a whole system in a directory.'; exit 1; }
[[ -x $pikiosk ]] || { say "There is no $pikiosk: make bench-provision builds it."; exit 1; }
mkdir -p "$work"

settings=$work/kiosk.toml
cat >"$settings" <<'TOML'
[display]
id = "lobby"
url = "https://example.org/"
[browser]
command = "/usr/bin/firefox-esr" # 280 MB that neither of the two would look at again
[screen]
mode = "1920x1080@60"
[system]
timezone = "Europe/Zurich"
keyboard = "gb"
ssh_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO8FSo4wtATm47Q00l5nE6cbRK0Y7F9HLYfAXXNo6+vB technician"]
TOML

packages=systemd-sysv,udev,openssh-server,tzdata,ca-certificates,systemd-timesyncd,systemd-resolved,systemd-zram-generator
packages+=,dbus,libpam-systemd,xserver-xorg-core,xserver-xorg-legacy,xserver-xorg-input-libinput,xserver-xorg-video-fbdev
packages+=,libgl1-mesa-dri,xinit,x11-xserver-utils,matchbox-window-manager,fonts-dejavu-core,ansible-core,python3-apt
tar=$work/root.tar
if [[ ! -s $tar || -n $(find "$tar" -mmin +1440) ]]; then
  say 'Making a Debian root with the packages of a kiosk, and ansible in it (a minute or two) …'
  mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" trixie "$tar.half.tar" </dev/null
  mv "$tar.half.tar" "$tar"
fi
trap 'rm -rf "$work/ours" "$work/theirs"' EXIT
rm -rf "$work/ours" "$work/theirs"
mkdir "$work/ours" "$work/theirs"
tar -xpf "$tar" -C "$work/ours"
tar -xpf "$tar" -C "$work/theirs"

now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.3f", b - a }'; }
median() { sort -n | awk '{ of[NR] = $1 } END { print of[int((NR + 1) / 2)] }'; }
ours() { "$pikiosk" provision --root "$work/ours" --config "$settings" --yes </dev/null; }

say 'pikiosk provision, the first time …'
begin=$(now)
ours >"$work/ours.log" 2>&1 || { cat "$work/ours.log"; exit 1; }
first_ours=$(since "$begin")

# What pikiosk laid down, as the tasks that somebody would write for ansible: by modules, in loops, idempotent.
book=$work/theirs/root/playbook
mkdir -p "$book/files"
python3 - "$work/ours" "$book" <<'PYTHON'
import json, os, pathlib, shutil, stat, sys
root, book = map(pathlib.Path, sys.argv[1:])
receipt = json.loads((root / "var/lib/pikiosk/provision/receipt.json").read_text())
edited = {"/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/hosts"}
directories, files, links, absent = [], [], [], []
for path in sorted(receipt["entries"]):
    here = pathlib.Path(str(root) + path)
    if path in edited:
        continue
    if here.is_symlink():
        links.append({"path": path, "src": os.readlink(here)})
    elif not here.exists():
        absent.append(path)
    else:
        of = here.stat()
        item = {"path": path, "mode": "%04o" % stat.S_IMODE(of.st_mode), "uid": of.st_uid, "gid": of.st_gid}
        if here.is_dir():
            directories.append(item)
        else:
            shutil.copy(here, book / "files" / path.strip("/").replace("/", "__"))
            files.append(item)
names = {line.split(":")[2]: line.split(":")[0] for line in (root / "etc/passwd").read_text().splitlines()}
groups = {line.split(":")[2]: line.split(":")[0] for line in (root / "etc/group").read_text().splitlines()}
for item in directories + files:
    item["owner"], item["group"] = names[str(item.pop("uid"))], groups[str(item.pop("gid"))]
packages = """dbus libpam-systemd xserver-xorg-core xserver-xorg-legacy xserver-xorg-input-libinput xserver-xorg-video-fbdev
  libgl1-mesa-dri xinit x11-xserver-utils matchbox-window-manager fonts-dejavu-core ca-certificates systemd-timesyncd
  systemd-resolved systemd-zram-generator openssh-server tzdata""".split()
tasks = [
    {"name": "packages", "ansible.builtin.apt": {"name": packages, "state": "present"}},
    {"name": "the group of the screen", "ansible.builtin.group": {"name": "kiosk", "system": True}},
    {"name": "the supervisor", "ansible.builtin.user": {"name": "pikiosk", "system": True, "home": "/var/lib/pikiosk",
        "create_home": False, "shell": "/usr/sbin/nologin", "groups": "kiosk", "append": True}},
    {"name": "the screen", "ansible.builtin.user": {"name": "kiosk", "system": True, "group": "kiosk", "home": "/home/kiosk",
        "create_home": False, "shell": "/bin/bash", "groups": "video,input,render,tty,audio", "append": True}},
    {"name": "directories", "ansible.builtin.file": {"path": "{{ item.path }}", "state": "directory", "mode": "{{ item.mode }}",
        "owner": "{{ item.owner }}", "group": "{{ item.group }}"}, "loop": directories, "loop_control": {"label": "{{ item.path }}"}},
    {"name": "files", "ansible.builtin.copy": {"src": "{{ item.path | regex_replace('^/', '') | replace('/', '__') }}",
        "dest": "{{ item.path }}", "mode": "{{ item.mode }}", "owner": "{{ item.owner }}", "group": "{{ item.group }}"},
        "loop": files, "loop_control": {"label": "{{ item.path }}"}},
    {"name": "links", "ansible.builtin.file": {"path": "{{ item.path }}", "src": "{{ item.src }}", "state": "link", "force": True},
        "loop": links, "loop_control": {"label": "{{ item.path }}"}},
    {"name": "what is not there", "ansible.builtin.file": {"path": "{{ item }}", "state": "absent"}, "loop": absent},
    {"name": "its own name", "ansible.builtin.lineinfile": {"path": "/etc/hosts", "regexp": r"^127\.0\.1\.1", "line": "127.0.1.1\tlobby",
        "create": True, "mode": "0644"}},
]
play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}]
(book / "kiosk.yml").write_text(json.dumps(play, indent=1))  # JSON is YAML
print(f"{len(files)} files, {len(directories)} directories, {len(links)} links, {len(packages)} packages, 2 accounts")
PYTHON
theirs() {
  unshare --mount --pid --fork --mount-proc="$work/theirs/proc" env --ignore-environment HOME=/root LC_ALL=C.UTF-8 \
    PATH=/usr/sbin:/usr/bin:/sbin:/bin ANSIBLE_NOCOWS=1 ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3 \
    chroot "$work/theirs" ansible-playbook --inventory localhost, /root/playbook/kiosk.yml </dev/null
}
say 'ansible-playbook, the first time …'
begin=$(now)
theirs >"$work/theirs.log" 2>&1 || { tail -30 "$work/theirs.log"; exit 1; }
first_theirs=$(since "$begin")

say "The second time, $runs times each, in turn …"
: >"$work/ours.times"
: >"$work/theirs.times"
for _ in $(seq "$runs"); do
  begin=$(now)
  ours >"$work/ours.log" 2>&1
  since "$begin" >>"$work/ours.times"
  echo >>"$work/ours.times"
  begin=$(now)
  theirs >"$work/theirs.log" 2>&1
  since "$begin" >>"$work/theirs.times"
  echo >>"$work/theirs.times"
done
grep -q 'nothing to change' "$work/ours.log" || { say 'pikiosk changed something the second time:'; cat "$work/ours.log"; exit 1; }
grep -q 'changed=0 ' "$work/theirs.log" || { say 'ansible changed something the second time:'; tail -5 "$work/theirs.log"; exit 1; }
second_ours=$(median <"$work/ours.times")
second_theirs=$(median <"$work/theirs.times")
ratio=$(awk -v a="$second_theirs" -v b="$second_ours" 'BEGIN { printf "%.0f", a / b }')
printf '\n%-34s %12s %12s\n' '' 'pikiosk' 'ansible'
printf '%-34s %10s s %10s s\n' 'first time (packages are there)' "$first_ours" "$first_theirs"
printf '%-34s %10s s %10s s\n' "second time, nothing to change" "$second_ours" "$second_theirs"
printf '%-34s %12s %12s\n' 'ratio' '1' "$ratio"
awk -v r="$ratio" -v s="$second_ours" 'BEGIN { exit !(r >= 20 && s <= 0.3) }' || { say 'Not as it should be: at least 20, at most 0.3 s.'; exit 1; }
