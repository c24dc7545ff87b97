#!/bin/sh
# Makes the owner and the daemon's role; runs once, in PostgreSQL's own container, as its superuser.
# What the daemon may do is for `bbaj store migrate` to grant.
set -eu
secrets=${BBAJ_SECRETS:-/run/bbaj}
psql --set=ON_ERROR_STOP=1 --no-psqlrc --quiet --username="$POSTGRES_USER" --dbname=postgres \
    --set=owner="$(cat "$secrets/owner.password")" \
    --set=daemon="$(cat "$secrets/daemon.password")" <<'END'
CREATE ROLE bbaj_owner LOGIN PASSWORD :'owner';
CREATE ROLE bbaj_daemon LOGIN PASSWORD :'daemon';
CREATE DATABASE bbaj OWNER bbaj_owner ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE bbaj FROM PUBLIC;
GRANT CONNECT ON DATABASE bbaj TO bbaj_daemon;
END
