#!/bin/sh
# Brings a directory to another machine and starts what it brought. The key lives as long as the run, in an agent of the run's own and in no
# file; the machine trusts Vault's certificate. SSH_TO is USER@HOST, SSH_PORT its port, SSH_OPTIONS what else ssh is to be told.
#
#   with-creds -c 'vault:ssh/sign/ci?public_key=generate as=ssh' -- examples/ssh/deploy.sh build /srv/app
set -eu
from=$1 to=$2
# shellcheck disable=SC2086 # several options
there() { ssh ${SSH_OPTIONS-} -p "${SSH_PORT-22}" "$SSH_TO" "$1"; }
tar -C "$from" -cf - . | there "mkdir -p '$to' && tar -C '$to' -xf -"
there "'$to/start'"
