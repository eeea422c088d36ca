#!/bin/sh
# Runs a command; in a network namespace of its own the loopback has to be switched on first.
[ -n "$(ip -brief link show up 2>/dev/null)" ] || ip link set lo up
exec "$@"
