#!/bin/sh
# Makes a small Debian with Python 2 and the Autobahn|Testsuite, which runs on nothing newer: prepare.sh FOLDER. Once;
# needs root and mmdebstrap, and fetches some 550 MB. Ends with 1, in words, where that is not to be had.
set -eu
folder=$1
root=$folder/root
[ -x "$root/ab/bin/wstest" ] && exit 0
skip() { echo "NOT DONE HERE: the Autobahn|Testsuite: $*"; exit 1; }
[ "$(id -u)" = 0 ] || skip "making its Debian needs root"
command -v mmdebstrap >/dev/null || skip "mmdebstrap is missing"
mkdir -p "$folder"
rm -rf "$root"
mmdebstrap --variant=apt \
  --include=python2.7,python2.7-dev,gcc,libc6-dev,libffi-dev,libssl-dev,ca-certificates,virtualenv \
  bullseye "$root" >"$folder/debian.log" 2>&1 || skip "Debian 11 is not to be had (see $folder/debian.log)"
for file in resolv.conf hosts ssl/certs/ca-certificates.crt; do cp "/etc/$file" "$root/etc/$file"; done
inside() { chroot "$root" env PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DISABLE_PIP_VERSION_CHECK=1 "$@"; }
{
  # The pip that virtualenv brings is for Python 3.
  mkdir -p "$root/wheels"
  python3 -m pip download --quiet --no-deps --dest "$root/wheels" pip==20.3.4 setuptools==44.1.1 wheel==0.37.1
  inside virtualenv -p python2.7 --no-pip --no-setuptools --no-wheel /ab
  inside /ab/bin/python /wheels/pip-20.3.4-py2.py3-none-any.whl/pip install --no-index --find-links /wheels pip setuptools wheel
  inside /ab/bin/python -m pip install --no-compile typing incremental==21.3.0 'zope.interface<6' six Twisted==20.3.0
  inside /ab/bin/python -m pip install --no-use-pep517 --no-build-isolation wsaccel==0.6.2 cryptography==3.2.1
  inside /ab/bin/python -m pip install autobahntestsuite==0.8.2
} >"$folder/install.log" 2>&1 || skip "its packages are not to be had (see $folder/install.log)"
