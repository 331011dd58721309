#!/bin/sh
# setup.sh NAME POLICY.hcl [NAMESPACE]: the service account NAME may log in to Vault, and may then do what the policy says. Before, once for a cluster:
#   vault auth enable kubernetes
#   vault write auth/kubernetes/config kubernetes_host=https://kubernetes.default.svc
set -eu

vault policy write "$1" "$2"
vault write "auth/kubernetes/role/$1" \
	bound_service_account_names="$1" bound_service_account_namespaces="${3:-backup}" audience=vault \
	token_policies="$1" token_ttl=1h
