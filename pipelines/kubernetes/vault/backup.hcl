path "database/creds/readonly" {
  capabilities = ["read"]
}
# Revoke one's own leases and wait until it is done.
path "sys/leases/revoke" {
  capabilities       = ["update"]
  allowed_parameters = { "lease_id" = ["database/creds/readonly/*"], "sync" = [] }
}
