#!/bin/sh
# Calls a service with a token from the key-value store, which is masked in all that is printed. curl is told of it on its standard input, for what is on
# a command line is seen by everybody on the machine.
#
#   with-creds -c 'vault:kv/data/app API_TOKEN=token' -- examples/kv/call.sh "$URL"
set -eu
printf 'header = "Authorization: Bearer %s"\n' "$API_TOKEN" | curl -sS --fail --config - "$1"
