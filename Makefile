# The front door. `make help` lists what there is; CMakePresets.json has the builds behind it.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PREFIX ?= /usr/local
DESTDIR ?=
# make run SECONDS=20 ends by itself; without it, ctrl-C does.
SECONDS ?=
# Parallel jobs of builds and tests.
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
export JOBS

.PHONY: help
help: ## Print this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | column -t -s '|'

.PHONY: build
build: ## Build what is installed: build/release/outrider
	@tools/deps build guests
	@tools/build release

.PHONY: run
run: ## A private NGINX, the agent and every example plugin; SECONDS=n ends by itself
	@tools/announce run
	@tools/deps build run guests
	@tools/build release
	@exec tools/run-demo --agent build/release/outrider $(if $(SECONDS),--seconds "$(SECONDS)")

.PHONY: test
test: ## Build with sanitizers and run every test
	@tools/announce test
	@tools/deps build test
	@tools/test

.PHONY: test-nightly
test-nightly: ## Slow tests of guests: Python, 100,000 calls each, 10,000 mutations
	@tools/deps build test
	@tools/test-nightly

.PHONY: bench
bench: ## Measure the release build beside its peers
	@tools/deps build bench
	@tools/build release
	@exec bench/run

# make fuzz SECONDS=600 FUZZ="wasm_extism base_json": longer, and only these.
FUZZ ?=
.PHONY: fuzz
fuzz: ## Every parser and the Extism rewriter under libFuzzer, SECONDS each (60)
	@tools/deps build fuzz
	@tools/fuzz "$(or $(SECONDS),60)" $(FUZZ)

.PHONY: lint
lint: ## Formatting, clang-tidy, layers, sizes, banned calls, spelling, scripts, man pages
	@tools/deps build test lint
	@tools/lint

.PHONY: deps
deps: ## Install whatever any target needs (Debian, Ubuntu); nothing on the second run
	@tools/deps all

.PHONY: install
install: build ## Install below DESTDIR and PREFIX (/usr/local)
	@DESTDIR="$(DESTDIR)" cmake --install build/release --prefix "$(PREFIX)" --strip

.PHONY: clean
clean: ## Remove build/ (the engines stay in the cache)
	@rm -rf build

.PHONY: clean-cache
clean-cache: ## Remove the compiled engines (about 0.1 GB for each version, at most 3): the next build makes them anew
	@rm -rf "$${XDG_CACHE_HOME:-$${HOME:-/tmp}/.cache}/outrider/engines"
