#!/bin/sh
# A report from PostgreSQL as CSV. psql finds the login in its own variables; PGHOST, PGPORT and PGDATABASE say where.
#
#   with-creds -c 'vault:database/creds/readonly as=postgres' -- examples/sql/report.sh
set -eu
exec psql -X --csv -c 'select count(*) as items, max(id) as last from items'
