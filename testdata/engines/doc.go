// Package engines holds every engine that users asked for against something real: a spec, the real with-creds, the real Vault, the server behind
// it, and the client that people use. Each row of the README's table is a test here; those that need a cloud's own SDK are in sdk.
package engines
