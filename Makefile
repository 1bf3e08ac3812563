# What can be made from this tree. `make help` lists it; only `deps` installs anything.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

MODULE   := github.com/cordonmesh/cordon
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X main.version=$(VERSION)
PROGRAMS := $(patsubst ./%/main.go,%,$(wildcard ./cmd/*/main.go))
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64
PROTOS   := $(shell git ls-files -co --exclude-standard '*.proto' 2>/dev/null)
FUZZTIME ?= 10s

# A released Cordon has no cgo in it; the race detector alone needs it.
export CGO_ENABLED := 0

.PHONY: help deps build cross demo test lab browser lab-nat bench fuzz lint proto clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

deps: ## installs the Debian packages that are missing, and fetches the Go modules
	@scripts/deps

build: ## builds the programs into bin/
	@mkdir -p bin
	@for p in $(PROGRAMS); do echo "go build $$p ($(VERSION))"; go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./$$p; done

cross: ## compiles the programs for every platform that we ship, and keeps nothing
	@out=$$(mktemp -d); trap 'rm -rf "$$out"' EXIT; \
	for t in $(PLATFORMS); do echo "go build for $$t"; \
	  for p in $(PROGRAMS); do GOOS=$${t%/*} GOARCH=$${t#*/} go build -trimpath -o "$$out/" ./$$p; done; done

demo: build ## a hospital's mesh on this machine, step by step, without root (KEEP=1 leaves it up)
	@go run ./integration/demo

test: ## tests everything: vet, staticcheck, layout, unit tests with -race, lab
	@scripts/test

lab: ## runs the built programs in network namespaces (root)
	@scripts/test lab

browser: build ## the part of the lab that sees the sign-in pages in Chromium (CORDON_PICTURES=DIR keeps pictures)
	@CORDON_BIN=$(CURDIR)/bin go test -count=1 -timeout 5m ./integration/browser

lab-nat: build ## two nodes in each pair of kinds of networks, through real NATs, with a table (root, 5 minutes)
	@go run ./integration/natmatrix -bin bin

bench: build ## measures what we promise, beside other programs where they are installed
	@go run ./integration/bench -bin bin

fuzz: ## runs each fuzz target for FUZZTIME (10s)
	@scripts/fuzz $(FUZZTIME)

lint: ## gofmt, vet, staticcheck, and whether generated code is what its source says
	@bad=$$(git ls-files -co --exclude-standard '*.go' | xargs -r gofmt -l); \
	  if [ -n "$$bad" ]; then echo "not gofmt-ed:"; echo "$$bad"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...
	@scripts/proto --check $(PROTOS)

proto: ## generates the Go code of the .proto files again (needs protoc)
	@scripts/proto $(PROTOS)

clean: ## removes what build made
	rm -rf bin
