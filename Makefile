# Every target is what its name says; `make help` lists them.
GO ?= go
# Everything is built as it is released, so that it is compiled once; the race detector alone needs cgo.
export CGO_ENABLED = 0

.PHONY: help build man generate test race venv queue lint torture core random bombs long fuzz bench cluster test-cluster test-cluster-short clean

help:       ## list the targets
	@sed -n "s/^\([a-z-]*\):.*## /\1\t/p" Makefile

build:      ## build bin/kith, static
	$(GO) build -trimpath -ldflags "-s -w" -o bin/kith ./cmd/kith

man:        build ## write the man pages of all commands into bin/man1
	bin/kith man --dir bin/man1

generate:   ## write api/zz_*.go from model/, and what README.md and COMPATIBILITY.md say is built from the routes
	$(GO) run ./internal/gen .
	$(GO) test ./server -run TestDocumentsSayWhatIsBuilt -update

test: venv queue ## everything but the long tests; sets up what it needs
	$(GO) vet ./...
	test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	$(GO) test -vet=off -timeout 20m ./...
	$(GO) run ./cmd/kith demo --once --listen 127.0.0.1:0

race:       ## the tests under the race detector
	CGO_ENABLED=1 $(GO) test -race ./...

venv: .venv/ready ## the Python environment of test/sdk
.venv/ready: test/sdk/python/requirements.txt
	python3 -m venv .venv
	.venv/bin/pip install --quiet --requirement test/sdk/python/requirements.txt
	touch .venv/ready

queue:      ## fetch the SQS-compatible server of the tests of dead letters; needs Java 17 and Maven, and is left out without them
	-$(GO) run ./test/cluster/up -install-queue

sdks: test/sdk/js/node_modules/ready test/sdk/java/lib/ready ## the AWS SDKs for JavaScript and Java that test/sdk runs, where node and mvn are; half a minute
test/sdk/js/node_modules/ready: test/sdk/js/package.json
	cd test/sdk/js && npm install --no-audit --no-fund --no-package-lock --silent
	touch $@
test/sdk/java/lib/ready: test/sdk/java/pom.xml
	cd test/sdk/java && mvn -q -B dependency:copy-dependencies -DoutputDirectory=lib
	touch $@

lint:       ## formatting, vet, package comments, import rule
	test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) test ./internal/lint

TORTURE ?= 1000
torture:    ## import while the server is killed TORTURE times, and all tests of failing disks
	KITH_TORTURE=$(TORTURE) $(GO) test ./test/e2e -run 'KillDuring|Fault|Lost|Full|NoSpace|HoweverItRuns|Strangers' -v -timeout 90m

CORE ?= 2000
core:       ## CORE random lives of a domain against the model of the core, calm and with power failures
	KITH_TEST_CORE=$(CORE) $(GO) test ./test/e2e -run 'TestCoreIsWhat|TestCoreSurvives' -timeout 90m

SEEDS ?= 40
random:     ## SEEDS times as many random runs as every day, on both engines
	KITH_TEST_SEEDS=$(SEEDS) $(GO) test ./test/e2e -run 'AtRandom|InAnyOrder|WhateverGoes|AtAnyMoment|TestAnyTwoMeet|TestUnmergeGivesBack|LeavesTheStoreAsItWas|TestTwoYears' -timeout 90m

bombs:      ## files that were made to cost much, the large ones too: some need minutes and gigabytes of disk
	KITH_BOMBS=1 $(GO) test ./test/e2e -run TestBombs -v -timeout 90m

long: torture core random bombs ## everything that takes hours: torture, core, random, bombs, and ten minutes of every fuzz target
	$(MAKE) fuzz FUZZTIME=10m

FUZZTIME ?= 30s
fuzz:       ## every fuzz target for FUZZTIME
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test $$p -list '^Fuzz' 2>/dev/null | grep '^Fuzz'); do \
	    echo "$$p $$f"; $(GO) test $$p -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) || exit 1; \
	  done; \
	done

BENCHFLAGS ?=
bench:      ## imports against PostgreSQL, memory, uploads and searches; BENCHFLAGS, such as "-rows 500000 -big 0"
	$(GO) run ./test/bench $(BENCHFLAGS)

cluster:    ## three Cassandra nodes, an S3 server and two Kith nodes in the folder cluster, until interrupted
	$(GO) run ./test/cluster/up

test-cluster: venv ## everything on a cluster of three nodes that it starts, and with its processes killed; needs Java 17 and Maven, takes about half an hour
	$(GO) run ./test/cluster/up -dir $$(mktemp -d) -nodes 3 -- sh -c "$(GO) test -count=1 -p 1 -timeout 60m ./store/cql ./blob/s3 ./resource ./test/sdk ./test/e2e -run 'TestStore|TestWide|TestResource|TestCredentials|TestMigrate|TestPython|TestImportIsTheSame|TestSharedNodes|TestNodesShare|TestMergeProfiles|TestUndoFollowsMerges|TestImportsShare|TestCompactionLeavesKeys|TestEveryKeyFinds|TestHiddenAccounts|TestObjectsHide|TestMergesAndUndos|TestMergesAtAny|TestUnmergeGivesBack|TestCallsAtRandom|TestCoreIsWhatTheModelSays|TestForgetting|TestQueryAtRandom|TestRules|TestMatch|TestIdentityResolution|TestAutomaticMerge|TestMergedWhileRead|TestMergesThatCantBe|TestCommonValues|TestTooManyForAMatch|TestApart|TestRepeats|TestUndosOf|TestDeletionBeside' && $(GO) test -count=1 -p 1 -timeout 60m ./profile/change ./profile/write"
	KITH_TEST_CLUSTER=3 $(GO) test -count=1 -v -timeout 60m ./test/cluster

test-cluster-short: venv ## the same on one node, with smaller imports: what CI runs
	$(GO) run ./test/cluster/up -install
	$(GO) run ./test/cluster/up -dir $$(mktemp -d) -nodes 1 -- $(GO) test -vet=off -count=1 -p 1 -timeout 30m ./store/cql ./blob/s3 ./resource ./test/sdk ./test/e2e -run 'TestStore|TestWide|TestResource|TestCredentials|TestMigrate|TestPython/cluster|TestImportIsTheSame|TestSharedNodes|TestNodesShare|TestMergeProfiles|TestUndoFollowsMerges|TestImportsShare|TestCompactionLeavesKeys|TestEveryKeyFinds|TestHiddenAccounts|TestObjectsHide|TestMergesAndUndos|TestMergesAtAny|TestUnmergeGivesBack|TestCallsAtRandom|TestCoreIsWhatTheModelSays|TestForgetting|TestAutomaticMerge|TestIdentityResolution|TestTooManyForAMatch|TestUndosOf|TestDeletionBeside'
	KITH_TEST_CLUSTER=1 KITH_TEST_ROWS=20000 $(GO) test -count=1 -timeout 30m ./test/cluster

clean:      ## remove what the targets made
	rm -rf bin .venv data test/sdk/js/node_modules test/sdk/java/lib
