#!/bin/bash
# Of the postgres image's own entry point, what docker-compose.yml relies on.
set -euo pipefail
data=/var/lib/postgresql/data
export PGDATA=$data
if [ "$(id -u)" = 0 ]; then
    install -d -o postgres -g postgres -m 700 "$data" /var/run/postgresql
    exec setpriv --reuid=postgres --regid=postgres --init-groups bash "$0"
fi
PATH=$PATH:$(echo /usr/lib/postgresql/*/bin)
if [ ! -s "$data/PG_VERSION" ]; then
    # shellcheck disable=SC2086 # several arguments
    initdb --username=postgres --pwfile="$POSTGRES_PASSWORD_FILE" $POSTGRES_INITDB_ARGS
    echo "host all all all scram-sha-256" >> "$data/pg_hba.conf"
    pg_ctl --wait start -o "-c listen_addresses="
    for script in /docker-entrypoint-initdb.d/*.sh; do
        sh "$script"
    done
    pg_ctl --wait stop
fi
exec postgres -c listen_addresses='*'
