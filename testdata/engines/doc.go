// Package engines holds every engine that users asked for against something real: a spec, the real with-creds, the real Vault, the server behind
// it, and the client that people use. Each row of the README's table is a test here; those that need a cloud's own SDK are in sdk.
//
// What is not the thing itself: AWS is moto; Kubernetes, Consul, Nomad and HCP Terraform are HTTP servers with the API's answers, behind Vault's own engines; the server of one-time
// passwords is a Go one that asks ssh/verify as vault-ssh-helper does; Active Directory is a domain of Samba's.
//
// The rows of the table that sdk has, MongoDB, MSSQL, Oracle, Azure and Google Cloud, have a plugin of our own in the real Vault, with the answers that their engines give.
package engines
