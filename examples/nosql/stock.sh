#!/bin/sh
# What Redis has under shop:*. redis-cli finds the password in REDISCLI_AUTH; CACHE_HOST and CACHE_PORT say where.
#
#   with-creds -c 'vault:database/creds/reader as=redis' -- examples/nosql/stock.sh
set -eu
ask() { redis-cli -h "$CACHE_HOST" -p "$CACHE_PORT" --user "$REDIS_USERNAME" --raw "$@"; }
ask KEYS 'shop:*' | while read -r key; do
	printf '%s %s\n' "$key" "$(ask GET "$key")"
done
