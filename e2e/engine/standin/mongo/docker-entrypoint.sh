#!/bin/bash
# Starts FerretDB where MongoDB would start; mongod's options mean nothing to it.
set -euo pipefail

[ $# -gt 0 ] && [ "${1:0:1}" != - ] || set -- mongod "$@"
[ "$1" = mongod ] || exec "$@"
if [ "$(id -u)" = 0 ]; then
  chown -R mongodb:mongodb /data/db
  exec setpriv --reuid mongodb --regid mongodb --init-groups "$0" "$@"
fi
export FERRETDB_LISTEN=:27017 FERRETDB_DIR=/data/db
exec ferretdb
