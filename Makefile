# Everything that a developer or a CI machine runs. It needs Go, git, make and a C compiler (for the race detector); every other
# tool is a pinned Go module under tools/, built from source into .bin/ once and again only when its go.mod changes. Prebuilt
# binaries would be quicker to fetch, but none comes for every platform, and this way there is one toolchain to trust.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# The checks share the module's files and both cores: one after the other is quicker, and its output can be read.
.NOTPARALLEL:
.DELETE_ON_ERROR:

# Packages that unit, test and slow run; `make unit PKG=./nodemanager/...` for some of them.
PKG ?= ./...
# What the binary says its version is.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# Branch that the schemas must stay compatible with; empty to skip the check.
PROTO_BASE ?= main
# How long `make slow` fuzzes each target.
FUZZ_TIME ?= 20s
# Flags of the demo and of the benchmark; BENCH_JSON=file also writes the benchmark's results there.
DEMO_FLAGS ?=
BENCH_FLAGS ?=
BENCH_JSON ?=

.PHONY: help
help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# One rule for every tool module: build what its go.mod lists as tools, for this machine whatever GOOS and GOARCH say.
.bin/%.built: tools/%/go.mod tools/%/go.sum
	@echo "==> build tools/$* (once)"
	@mkdir -p .bin
	@GOOS= GOARCH= GOWORK=off go -C tools/$* build -mod=readonly -buildvcs=false -trimpath -ldflags='-s -w' -o "$(CURDIR)/.bin/" tool
	@touch $@

.PHONY: generate
generate: .bin/buf.built .bin/protoc.built ## Generate everything that is generated: gen/ from proto/, and stubs from annotated Go.
	@echo "==> buf generate"
	@.bin/buf generate
	@echo "==> go generate"
	@go generate ./...

.PHONY: generate-check
generate-check: .bin/buf.built .bin/protoc.built ## Fail, with the difference, if what is generated is not what is here.
	@tools/generate-check.sh $(MAKE) --no-print-directory generate

.PHONY: lint
lint: .bin/buf.built .bin/lint.built ## Check style and correctness without running anything.
	@echo "==> gofmt"
	@files=$$(go list -f '{{.Dir}}/*.go' ./...); \
	unformatted=$$(gofmt -l $$files); \
	if [[ -n $$unformatted ]]; then echo "not formatted, run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	@echo "==> go vet"
	@go vet ./...
	@echo "==> golangci-lint"
	@.bin/golangci-lint run ./...
	@echo "==> buf lint, format, breaking"
	@.bin/buf lint
	@.bin/buf format -d --exit-code
	@tools/buf-breaking.sh "$(PROTO_BASE)"
	@echo "==> build for darwin"
	@GOOS=darwin CGO_ENABLED=0 go build ./...

.PHONY: build
build: ## Build bin/mobula.
	@echo "==> go build bin/mobula ($(VERSION))"
	@mkdir -p bin
	@CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/mobula ./cmd/mobula

.PHONY: unit
unit: ## Run the short tests, without the race detector.
	@echo "==> go test -short"
	@go test -short -timeout 5m $(PKG)

.PHONY: test
test: generate-check lint ## Run what every change must pass: generate-check, lint, short tests under the race detector.
	@echo "==> go test -race -short, one package at a time: many start processes or builds of their own, and two cores are few"
	@go test -race -short -p 1 -timeout 8m $(PKG)

.PHONY: slow
slow: ## Run the long suites: all tests, every fuzz target for FUZZ_TIME, a build for linux/arm64.
	@echo "==> go test -race"
	@go test -race -timeout 60m $(PKG)
	@tools/fuzz.sh $(FUZZ_TIME)
	@echo "==> build for linux/arm64"
	@GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go build ./...

.PHONY: demo
demo: ## Run the main example on real input: an index of the Go toolchain's own source.
	@echo "==> examples/wordindex"
	@go run ./examples/wordindex $(DEMO_FLAGS)

.PHONY: bench
bench: build ## Run the benchmark; BENCH_JSON=file also writes its results there.
	@echo "==> tests/bench"
	@go run ./tests/bench -mobula bin/mobula $(if $(BENCH_JSON),-json $(BENCH_JSON)) $(BENCH_FLAGS)

.PHONY: clean
clean: ## Remove everything that was built, the tools too.
	rm -rf bin .bin
