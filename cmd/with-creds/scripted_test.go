//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// scripted is a source of tokens that is a script: no server is needed, and each token there is, is a file. It is bound to NAME.
func scripted(t testing.TB, name string) *source {
	t.Helper()
	dir := t.TempDir()
	program, tokens := filepath.Join(dir, "mint"), filepath.Join(dir, "tokens")
	if err := os.Mkdir(tokens, 0o700); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`#!/bin/sh
id=$(sed -n 's/.*"id":"\([^"]*\)".*/\1/p')
case $1 in
issue) echo "token-of-$id" > '%[1]s'/$id; echo '{"version":1,"fields":{"token":"token-of-'$id'"},"ttl":300,"renewable":true}' ;;
renew) echo '{"version":1,"ttl":300,"renewable":true}' ;;
revoke) rm -f '%[1]s'/$id; echo '{"version":1,"proof":"proven"}' ;;
esac
`, tokens)
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return &source{
		specs: []string{"command:" + program + " " + name + "=token"},
		left: func() []string {
			files, _ := filepath.Glob(filepath.Join(tokens, "*"))
			return files
		},
		usable: func(_ testing.TB, _, token string) bool {
			files, _ := filepath.Glob(filepath.Join(tokens, "*"))
			return slices.ContainsFunc(files, func(f string) bool { return "token-of-"+filepath.Base(f) == strings.TrimSpace(token) })
		},
	}
}
