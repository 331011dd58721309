#!/bin/sh
# Calls a service that wants to see a certificate. It was issued for this run, and is on the revocation list after it.
#
#   with-creds -c 'vault:pki/issue/client?common_name=ci.example.com&ttl=10m as=pki' -- examples/pki/call.sh "$URL"
set -eu
exec curl -sS --fail --cert "$TLS_CERT" --key "$TLS_KEY" --cacert "$TLS_CA" "$1"
