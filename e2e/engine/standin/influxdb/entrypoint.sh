#!/bin/bash
# Starts InfluxDB 1.8 by the settings of version 2's image.
set -euo pipefail

[ $# -gt 0 ] || set -- influxd
[ "$1" = influxd ] || exec "$@"
data=/var/lib/influxdb2
if [ "$(id -u)" = 0 ]; then
  chown -R influxdb:influxdb $data /etc/influxdb2
  exec setpriv --reuid influxdb --regid influxdb --init-groups "$0" "$@"
fi

# of prints a setting, or what is in the file that NAME_FILE names.
of() {
  local file="${1}_FILE"
  if [ -n "${!file:-}" ]; then cat "${!file}"; else printf %s "${!1:-}"; fi
}

export INFLUXDB_META_DIR=$data/meta INFLUXDB_DATA_DIR=$data/data INFLUXDB_DATA_WAL_DIR=$data/wal
run=(influxd -config /etc/defaults/influxdb2/influxd.conf)

# The first start makes the first user and the database, as version 2 does: in a
# server that nobody reaches.
if [ ! -e $data/set-up ] && [ "${DOCKER_INFLUXDB_INIT_MODE:-}" = setup ]; then
  user=$(of DOCKER_INFLUXDB_INIT_USERNAME)
  password=$(of DOCKER_INFLUXDB_INIT_PASSWORD)
  bucket=${DOCKER_INFLUXDB_INIT_BUCKET:-}
  if [ -z "$user" ] || [ -z "$password" ] || [ -z "$bucket" ]; then
    echo "influxdb: DOCKER_INFLUXDB_INIT_USERNAME, _PASSWORD and _BUCKET are needed" >&2
    exit 1
  fi
  quoted=${password//\\/\\\\}
  quoted=${quoted//\'/\\\'}
  INFLUXDB_HTTP_BIND_ADDRESS=127.0.0.1:9999 INFLUXDB_HTTP_FLUX_ENABLED=false INFLUXDB_HTTP_AUTH_ENABLED=false "${run[@]}" &
  server=$!
  trap 'kill $server 2>/dev/null || true' EXIT
  until curl -fs -o /dev/null http://127.0.0.1:9999/ping; do
    kill -0 $server # it has ended, and said why
    sleep 0.1
  done
  answer=$(printf '%s' "CREATE USER \"$user\" WITH PASSWORD '$quoted' WITH ALL PRIVILEGES; CREATE DATABASE \"$bucket\"" |
    curl -fsS --data-urlencode q@- http://127.0.0.1:9999/query)
  case $answer in *error*)
    echo "influxdb: first user: $answer" >&2
    exit 1
    ;;
  esac
  kill $server
  wait $server || true
  trap - EXIT
  touch $data/set-up
fi

export INFLUXDB_HTTP_BIND_ADDRESS=:8086 INFLUXDB_HTTP_AUTH_ENABLED=true
exec "${run[@]}"
