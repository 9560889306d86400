#!/bin/sh
# What the images of Postgres, Redis and MinIO do with the commands that docker-compose.yml gives.
set -eu

as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }

prepare_postgres() {
    mkdir -p "$data" && chown postgres: "$data"
    test -s "$data/PG_VERSION" && return
    umask 077
    printf %s "$POSTGRES_PASSWORD" > /tmp/password && chown postgres: /tmp/password
    as_postgres "$bin/initdb" -D "$data" -U "$POSTGRES_USER" --pwfile=/tmp/password \
        --auth-host=scram-sha-256 --auth-local=trust --encoding=UTF8 >/dev/null
    rm /tmp/password
    echo "host all all all scram-sha-256" >> "$data/pg_hba.conf"
    as_postgres "$bin/pg_ctl" -D "$data" -o "-c listen_addresses=''" -w start >/dev/null
    as_postgres "$bin/createdb" -U "$POSTGRES_USER" "$POSTGRES_DB"
    as_postgres "$bin/pg_ctl" -D "$data" -w stop >/dev/null
}

case "$1" in
postgres)
    bin=$(echo /usr/lib/postgresql/*/bin)
    data=/var/lib/postgresql/data
    prepare_postgres
    exec setpriv --reuid=postgres --regid=postgres --init-groups \
        "$bin/postgres" -D "$data" -c "listen_addresses=*"
    ;;
server) exec python /standins/store.py "$2" ;;
*) exec "$@" ;;
esac
