# Everything that a developer or a CI machine runs. It needs Go, Python (3.11 or newer), Node (for the protoc of Python's generated
# code), git, make and a C compiler (for the race detector). The tools of Go are pinned modules under tools/, built from source into
# .bin/ once and again only when their go.mod changes: prebuilt binaries would be quicker to fetch, but none comes for every platform.
# The tools of Python are pinned in clients/python/requirements-dev.txt and live in .venv.

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
# The Python for .venv (3.11 or newer), and others that `make python-test` runs the suite on as well where they are installed.
PYTHON ?= python3
PYTHONS ?= 3.12 3.13
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

tools/python/node_modules/.built: tools/python/package.json tools/python/package-lock.json
	@echo "==> install tools/python (once)"
	@npm --prefix tools/python ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: generate
generate: .bin/buf.built .bin/protoc.built tools/python/node_modules/.built ## Generate everything that is generated: from proto/, and stubs from annotated Go.
	@echo "==> buf generate"
	@.bin/buf generate
	@.bin/buf generate --template buf.gen.session.yaml
	@.bin/buf generate --template buf.gen.controlplane.yaml
	@tools/python-gen.sh .bin/gen-python
	@echo "==> go generate"
	@go generate ./...

.PHONY: generate-check
generate-check: .bin/buf.built .bin/protoc.built tools/python/node_modules/.built ## Fail, with the difference, if what is generated is not what is here.
	@tools/generate-check.sh $(MAKE) --no-print-directory generate
	@echo "==> test vectors"
	@if command -v python3 >/dev/null; then python3 tests/vectors/generate.py --check; \
	else echo "not checked: their second encoder needs python3, which is not here"; fi

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

# python-package puts the package into the environment $(1), editable, with bin/mobula and, where there is a C compiler, its extension.
define python-package
@MOBULA_BUILD_BINARY="$(CURDIR)/bin/mobula" $(1)/bin/python -m pip install --quiet --disable-pip-version-check \
  --no-build-isolation --no-deps --editable clients/python
endef

# python-env makes the environment $(1) with the Python $(2): the pinned tools, and the package.
define python-env
@echo "==> $(1): install the tools and the package (once)"
@$(2) -m venv --clear $(1)
@$(1)/bin/python -m pip install --quiet --disable-pip-version-check -r clients/python/requirements-dev.txt
$(call python-package,$(1))
@touch $@
endef
PYTHON_PINS := clients/python/requirements-dev.txt clients/python/pyproject.toml clients/python/hatch_build.py

.venv/built: $(PYTHON_PINS) | build
	$(call python-env,.venv,$(PYTHON))

.venv-%/built: $(PYTHON_PINS) | build
	$(call python-env,.venv-$*,python$*)

# One build serves every Python.
PYTHON_EXTENSION := clients/python/src/mobula/_fast.abi3.so
$(PYTHON_EXTENSION): $(wildcard clients/python/src/mobula/_c/*) | .venv/built
	@echo "==> build the extension of the Python client"
	$(call python-package,.venv)

.PHONY: python
python: build .venv/built $(PYTHON_EXTENSION) ## Make .venv: the Python client, editable, with the binary just built, and the tools that check it.
	@mkdir -p clients/python/src/mobula/_bin
	@install -m 755 bin/mobula clients/python/src/mobula/_bin/mobula

.PHONY: python-lint
python-lint: python ## Check style and types of the Python client.
	@echo "==> ruff check, ruff format, mypy, pyright"
	@cd clients/python && ../../.venv/bin/ruff check . && ../../.venv/bin/ruff format --check . && ../../.venv/bin/mypy
	@cd clients/python && ../../.venv/bin/basedpyright --pythonpath ../../.venv/bin/python

.PHONY: python-test
python-test: python ## Run the suite of the Python client, on every Python that is here.
	@echo "==> pytest: $$(.venv/bin/python --version)"
	@cd clients/python && ../../.venv/bin/python -m pytest -q
	@for version in $(PYTHONS); do \
	  if "python$$version" -c '' 2>/dev/null; then \
	    $(MAKE) --no-print-directory ".venv-$$version/built"; \
	    echo "==> pytest: Python $$version"; (cd clients/python && "../../.venv-$$version/bin/python" -m pytest -q); \
	  else echo "==> Python $$version is not here: not tested"; fi; \
	done

.PHONY: unit
unit: ## Run the short tests, without the race detector.
	@echo "==> go test -short"
	@go test -short -timeout 5m $(PKG)

.PHONY: test
test: generate-check lint python-lint ## Run what every change must pass: generate-check, lint, short tests under the race detector, Python's suite.
	@echo "==> go test -race -short, one package at a time: many start processes or builds of their own, and two cores are few"
	@go test -race -short -p 1 -timeout 8m $(PKG)
	@$(MAKE) --no-print-directory python-test

.PHONY: slow
slow: python ## Run the long suites: all tests, every fuzz target for FUZZ_TIME, programs from PyPI, a build for linux/arm64.
	@echo "==> go test -race"
	@go test -race -timeout 60m $(PKG)
	@tools/fuzz.sh $(FUZZ_TIME)
	@echo "==> pytest: packages from PyPI that are written for Ray"
	@cd clients/python && MOBULA_THIRD_PARTY=1 ../../.venv/bin/python -m pytest -q tests/test_third_party.py
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

.PHONY: bench-python
bench-python: python ## Run the Python benchmark on Mobula and on Ray in turn; Ray is installed into .venv-ray. BENCH_JSON=file as above.
	@echo "==> tests/bench/beside_ray.py"
	@.venv/bin/python tests/bench/beside_ray.py $(if $(BENCH_JSON),--json $(BENCH_JSON)) $(BENCH_FLAGS)

.PHONY: clean
clean: ## Remove everything that was built, the tools too.
	rm -rf bin .bin .venv .venv-* clients/python/src/mobula/_bin $(PYTHON_EXTENSION) tools/python/node_modules
