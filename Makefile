# What is done with this repository. `make` lists the targets; each line of help stands behind its target.
# On a bare Debian machine, as root, with make and Go, everything else is installed or built on first use.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Servers' tests wait more than they compute. The race detector takes three times the time and wants a C compiler, so it
# reads the packages that run goroutines over shared state, and leaves whole-process tests alone (it does not see their children).
TEST_TIMEOUT ?= 15m
RACE_PACKAGES ?= ./step/lease ./step/mask ./step/bind ./step/spec ./step/serve ./step/ready ./providers/...
FUZZTIME ?= 20s
N ?= 1000

# `./...` matches nothing under testdata, nor does any other pattern.
TESTDATA_PACKAGES = $(sort $(patsubst %/,./%,$(dir $(wildcard testdata/harness/*.go testdata/harness/sqlpromises/*.go testdata/bench/*.go testdata/engines/*.go testdata/engines/trial/*.go testdata/pipelines/*.go))))

# lists PACKAGES PATTERN: fails where no test, benchmark or fuzz target is so called, for `go test -run` alone would call that a success.
lists = go test -list '$(2)' $(1) | grep -E '^(Test|Benchmark|Fuzz)' >/dev/null || { echo 'make $@: nothing in $(1) is called $(2)' >&2; exit 1; }

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## the whole story on a throwaway PostgreSQL, in under a minute
	@examples/demo/run

.PHONY: build
build: ## ./with-creds: one static file
	CGO_ENABLED=0 go build -trimpath -o with-creds ./cmd/with-creds

.PHONY: test
test: servers ## everything, against real servers (the first time about ten minutes more, to build them)
	@testdata/tools/need gcc
	@testdata/tools/need ps procps
	@testdata/tools/need setsid util-linux && testdata/tools/need mount
	@testdata/tools/need groff groff-base
	@for program in bash dash less mksh openssl perl python3 tmux vim xxd; do testdata/tools/need $$program; done
	@testdata/tools/need php php-cli && { python3 -c 'import yaml' 2>/dev/null || testdata/tools/need python3-yaml; }
	@testdata/tools/need zsh && testdata/tools/need fish
	@testdata/tools/need node nodejs && testdata/tools/need npm && testdata/tools/need git && testdata/tools/need rsync && testdata/tools/need groovy && testdata/tools/build act >/dev/null
	@echo 'make test: with the race detector: $(RACE_PACKAGES)'
	CGO_ENABLED=1 go test -count=1 -race -short -vet=off -timeout $(TEST_TIMEOUT) $(RACE_PACKAGES)
	@echo 'make test: everything, a package at a time: each has servers of its own and keeps both cores busy'
	WITH_CREDS_TEST_FULL=1 go test -count=1 -p 1 -vet=off -timeout $(TEST_TIMEOUT) ./... $(TESTDATA_PACKAGES)
	@echo 'make test: engines by their own SDKs, in a module of their own'
	cd testdata/engines/sdk && WITH_CREDS_TEST_FULL=1 go test -count=1 -vet=off -timeout $(TEST_TIMEOUT) .
	@echo 'make test: a little fuzzing, by count: a deadline fails now and then on a machine that is busy'
	@$(MAKE) fuzz FUZZTIME=20000x

.PHONY: servers
servers: ## install or build the servers that the tests start
	@testdata/servers/install

.PHONY: lint
lint: ## formatting, golangci-lint (gosec in it), govulncheck, vet for each system, modules tidy, shell scripts
	@testdata/tools/need shellcheck
	@echo 'make lint: gofmt'
	@unformatted=$$(git ls-files -z '*.go' | xargs -0 gofmt -l); [ -z "$$unformatted" ] || { echo "gofmt these: $$unformatted" >&2; exit 1; }
	@echo 'make lint: golangci-lint'
	@linter=$$(testdata/tools/golangci-lint/build); "$$linter" run --allow-serial-runners ./... $(TESTDATA_PACKAGES)
	@echo 'make lint: govulncheck'
	@testdata/tools/govulncheck/check ./...
	@for system in linux darwin; do \
		echo "make lint: go vet for $$system"; CGO_ENABLED=0 GOOS=$$system go vet ./... $(TESTDATA_PACKAGES); done
	@echo 'make lint: go build for windows'
	@CGO_ENABLED=0 GOOS=windows go build ./...
	@echo 'make lint: go mod tidy, go mod verify'
	@go mod tidy -diff
	@go mod verify
	@linter=$$(testdata/tools/golangci-lint/build); for module in testdata/engines/sdk testdata/pipelines/kubernetes; do \
		echo "make lint: $$module, a module of its own"; (cd "$$module" && "$$linter" run --allow-serial-runners ./... && go mod tidy -diff); done
	@echo 'make lint: shellcheck'
	@git grep -lE '^#!.*(bash|/sh)' -- ':!*.md' ':!*.go' ':!*.txtar' | xargs shellcheck

.PHONY: bench
bench: servers ## overhead of a run, beside vault CLI + jq, curl + jq and Vault Agent (UPDATE=1: into README.md)
	@$(call lists,./testdata/bench,^TestOverhead)
	WITH_CREDS_BENCH=1 go test -count=1 -vet=off -timeout 30m -run '^TestOverhead' -v ./testdata/bench $(if $(UPDATE),-update)

.PHONY: bench-mask
bench-mask: ## throughput of the masker: by itself, beside others that find or replace strings, and of a whole run beside cat
	@$(call lists,./step/mask,^Benchmark)
	go test -vet=off -run '^$$' -bench . -benchmem ./step/mask
	cd testdata/peers/mask && go test -vet=off -timeout 30m -run '^$$' -bench . -benchtime 300ms .
	@$(call lists,./testdata/bench,^BenchmarkMaskedOutput)
	@$(call lists,./testdata/bench,^BenchmarkMaskedPrompt)
	go test -vet=off -run '^$$' -bench '^BenchmarkMaskedOutput' -benchtime 10x ./testdata/bench
	go test -vet=off -run '^$$' -bench '^BenchmarkMaskedPrompt' ./testdata/bench

.PHONY: release-snapshot
release-snapshot: ## dist/: all of a release that needs neither keys nor a registry, built twice and compared
	@testdata/tools/release-snapshot

.PHONY: chaos
chaos: servers ## kill a run at N random moments (make chaos N=10000) and count what is left behind
	@$(call lists,./cmd/with-creds,^TestChaos)
	WITH_CREDS_TEST_FULL=1 WITH_CREDS_CHAOS_N=$(N) go test -count=1 -vet=off -timeout 0 -run '^TestChaos' -v ./cmd/with-creds

.PHONY: rotation
rotation: servers ## a worker that logs in again and again for two minutes, while its login is replaced every seven seconds
	@$(call lists,./testdata/engines,^TestAWorker)
	WITH_CREDS_TEST_FULL=1 WITH_CREDS_TEST_LONG=1 go test -count=1 -vet=off -timeout 10m -run '^TestAWorker' -v ./testdata/engines

.PHONY: fuzz
fuzz: ## every fuzz target for a while (make fuzz FUZZTIME=10m)
	@for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "make fuzz: $$target for $(FUZZTIME)"; \
			go test -vet=off -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; done; done
