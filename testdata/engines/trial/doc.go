// Package trial runs with-creds as a pipeline does, against a real Vault with the least policy for what is asked, and looks at what came of it.
package trial
