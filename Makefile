# Everything a developer runs. "make test" needs Go and make only.

GO          ?= go
FUZZTIME    ?= 30s
TESTTIME    ?= 30m
STATICCHECK  = honnef.co/go/tools/cmd/staticcheck@v0.8.2

# No C compiler is needed; the race detector alone asks for one.
export CGO_ENABLED = 0

.PHONY: help build test lint race race-caddy race-attest attest-long bench-attest bench-packages fuzz e2e e2e-long e2e-traefik reliability crosstalk bench bench-hosts bench-short caddy timing npm-oracle npm-packages vectors traefik-bundle traefik

help: ## print this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

build: ## build the sidecar into ./approovgate
	$(GO) build -o approovgate ./cmd/approovgate

test: ## run all tests, compiled and interpreted
	$(GO) test -timeout $(TESTTIME) $(TESTFLAGS) $$($(GO) list ./... | grep -v internal/reliability)
	$(GO) test -count=1 -timeout $(TESTTIME) $(TESTFLAGS) ./internal/reliability   # after the others: it takes times of a whole machine
	cd deploy/kubernetes/check && $(GO) test -count=1 -timeout $(TESTTIME) $(TESTFLAGS) ./...
	cd internal/yaegitest && $(GO) test -count=1 -timeout $(TESTTIME) $(TESTFLAGS) ./...   # its inputs lie outside the module, which the test cache does not see

lint: ## check format, vet and staticcheck
	@test -z "$$(gofmt -l . | tee -a /dev/stderr)"
	$(GO) vet ./...
	$(GO) vet -tags approovgate_testclock ./internal/testclock ./cmd/...
	$(GO) run $(STATICCHECK) ./...
	for module in internal/yaegitest internal/e2e traefikplugin/e2e deploy/kubernetes/check; do (cd $$module && $(GO) vet ./... && $(GO) run $(STATICCHECK) ./...) || exit 1; done

race: ## run the tests of what runs concurrently under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race ./engine ./gate ./internal/h1 ./internal/host ./internal/liveask/suite ./internal/logline ./internal/sdnotify ./internal/tracing ./proxy ./source ./traefikplugin ./cmd/approovgate ./internal/conformance ./attestserver ./attestserver/evidence ./measure ./measure/mobile ./pins ./sdk

# When the time is up, go test -fuzz sometimes reports "context deadline exceeded" although nothing was found
# (golang.org/issue/75804). A target has failed if there is more to say than that.
fuzz: ## run every fuzz target for FUZZTIME (30s)
	@out=$$(mktemp); trap 'rm -f "$$out"' EXIT; for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			if $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package >"$$out" 2>&1; then tail -1 "$$out"; \
			elif grep -q '^    context deadline exceeded' "$$out" && ! grep -qE 'Failing input|_test\.go:|panic' "$$out"; then echo "ok  	$$package: its time was up"; \
			else cat "$$out"; exit 1; fi; \
		done; \
	done

e2e: ## ask the sidecar with real clients, and read real app packages (needs what .ci/run installs, and make npm-packages)
	cd internal/e2e && $(GO) test -count=1 -timeout 20m $(TESTFLAGS) ./...

e2e-traefik: ## the plugin in Traefik's loader, and in real Traefik processes if make traefik has built them
	cd traefikplugin/e2e && $(GO) test -count=1 -timeout 20m $(TESTFLAGS) ./...

race-caddy: ## run the tests of the Caddy module under the race detector: it compiles all of Caddy once more (minutes)
	CGO_ENABLED=1 $(GO) test -race ./caddymodule

race-attest: ## run the tests of the attestation service and the SDK under the race detector: it compiles SQLite once more (minutes)
	CGO_ENABLED=1 $(GO) test -race -short ./attestserver/... ./sdk ./internal/manageclient

attest-long: ## kill the attestation service 500 times under load, and attest a million times (Linux, 15 minutes)
	APPROOVGATE_ATTEST=long $(GO) test -count=1 -timeout 60m -v -run 'Kill|Memory' ./internal/attestd

bench-packages: ## measure what reading packages of a hundred MB and more costs
	$(GO) test -run '^$$' -bench 'File|Read' -benchtime 5x ./measure/mobile ./measure/ipa

bench-attest: ## measure attestations on SQLite and on PostgreSQL, and what the SDK's fetches take
	$(GO) test -run '^$$' -bench Attestation -benchtime 20000x -count 3 ./internal/attestd
	$(GO) test -run '^$$' -bench Fetch ./sdk

e2e-long: ## the same, with a minute for each attack
	cd internal/e2e && APPROOVGATE_ATTACK=60 $(GO) test -count=1 -timeout 60m -v ./...

reliability: ## kill, overload, starve, mislead and reload the sidecar, with the figures of docs/reliability.md (Linux, root, 35 minutes)
	APPROOVGATE_RELIABILITY=long $(GO) test -count=1 -timeout 60m -v ./internal/reliability

crosstalk: ## a million requests, each of which must get its own answer (4 minutes)
	APPROOVGATE_CROSSTALK=1000000 $(GO) test -count=1 -timeout 20m -v -run NoAnswer ./proxy

bench: ## measure the check and the proxy, with the ratios that README states, beside HAProxy and nginx where installed (Linux, two cores)
	$(GO) test -run '^$$' -bench 'Token|Check' -count 5 ./engine
	$(GO) run ./internal/bench
	$(MAKE) bench-attest

bench-hosts: caddy ## measure what the gate costs in Caddy and in Traefik (make traefik traefik-bundle), beside each without it (Linux, two cores)
	$(GO) run ./internal/bench -hosts -only valid,bad $(BENCHFLAGS)

caddy: ## build a Caddy with the gate into .cache/caddy
	$(GO) build -o .cache/caddy ./cmd/caddy

bench-short: ## run every benchmark once, to see that it still runs
	$(GO) test -run '^$$' -bench . -benchtime 10x ./...
	$(GO) run ./internal/bench -short

timing: ## look for time that depends on secrets (a quiet machine, minutes)
	APPROOVGATE_TIMING=1 $(GO) test -count=1 -run TestTiming -v ./token

npm-oracle: ## install the npm package that the tests of jose ask if it is there (needs node and npm)
	npm install --silent --no-audit --no-fund --no-package-lock --ignore-scripts --prefix jose/testdata/npm

npm-packages: ## install the npm packages whose apps and readers internal/e2e/packages takes (needs node and npm, 110 MB)
	npm install --silent --no-audit --no-fund --no-package-lock --ignore-scripts --prefix internal/e2e/packages/npm

vectors: ## write testdata/vectors again from its generator
	$(GO) run ./internal/conformance/generate

traefik-bundle: ## write what Traefik needs of the plugin into dist/plugins-local, and a tarball of it
	sh traefikplugin/bundle.sh dist

# One module of its own builds it. Its packages are those of traefikplugin/e2e, so that the build cache serves both.
TRAEFIK ?= v3.7.12
traefik: ## build a real Traefik, TRAEFIK=v3.7.12 or v3.6.12, into .cache for the tests of the plugin (minutes, 4 GB)
	sh deploy/traefik/build.sh $(TRAEFIK) .cache/traefik$(if $(filter v3.6.%,$(TRAEFIK)),-3.6)
