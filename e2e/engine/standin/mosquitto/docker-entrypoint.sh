#!/bin/sh
# As root, the folders are Mosquitto's; it leaves root by itself.
set -e
[ "$(id -u)" != 0 ] || chown -R mosquitto:mosquitto /mosquitto
exec "$@"
