#!/bin/sh
# The items of a shop in Cassandra. cqlsh finds the login in a private file; CQLSH_HOST and CQLSH_PORT, which it reads too, say where.
#
#   with-creds -c 'vault:database/creds/reader as=cassandra' -- examples/nosql/names.sh
set -eu
exec "${CQLSH:-cqlsh}" --credentials "$CQLSH_CREDENTIALS" -e 'select name from shop.items'
