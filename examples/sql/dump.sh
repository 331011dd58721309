#!/bin/sh
# A dump of a database in MariaDB or MySQL. The login is in a private file, where no list of processes shows it; DB_HOST and DB_PORT say where.
#
#   with-creds -c 'vault:database/creds/dump as=mysql' -- examples/sql/dump.sh shop
set -eu
exec mariadb-dump --defaults-file="$MYSQL_DEFAULTS_FILE" --protocol=tcp --host="$DB_HOST" --port="$DB_PORT" --single-transaction "$@"
