# Every target works on a machine with Go, make and git; what else it needs it
# builds, once per version, into the user's cache folder.

SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := help

# Versions of the tools. Changing one here is all it takes.
BUF                := github.com/bufbuild/buf/cmd/buf@v1.75.0
PROTOC_GEN_GO      := google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.10
PROTOC_GEN_GRPC    := google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.0
PROTOC_GEN_GATEWAY := github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-grpc-gateway@v2.32.0
PROTOC_GEN_OPENAPI := github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-openapiv2@v2.32.0
CONTROLLER_GEN     := sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0
GOFUMPT            := mvdan.cc/gofumpt@v0.12.0
GOLANGCI_LINT      := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
ACTIONLINT         := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
KIND               := sigs.k8s.io/kind@v0.33.0
CRANE              := github.com/google/go-containerregistry/cmd/crane@v0.22.1

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/triangle
TOOLS := $(CURDIR)/.tools
BIN   := $(CURDIR)/bin
export PATH := $(TOOLS):$(PATH)

# The module list lives in go.work alone.
MODULES  = $(shell go list -m -f '{{.Dir}}')
PACKAGES = $(addsuffix /...,$(MODULES))
# A module outside go.work: the peers that it measures against must not move our
# versions.
PEERS := services/eventstore/bench
# Some of the peers have parts in C, which their users have, too.
AS_USUAL := env -u CGO_ENABLED GOWORK=off
BINARIES := channel-support sales-support marketing-support event-store triangle-operator triangle

# A Kubernetes of our own, in a module outside go.work for the same reason; which
# versions it is of stands in that module's go.mod alone. Where there are binaries
# already, KUBEBUILDER_ASSETS names their folder, and nothing is built.
pinned = $(shell awk '{sub(/^require /, "")} $$1 == "$(2)" && $$2 ~ /^v[0-9]/ {print $$2; exit}' tools/$(1)/go.mod)
KUBERNETES_VERSION := $(call pinned,kubernetes,k8s.io/kubernetes)
ETCD_VERSION := $(call pinned,kubernetes,go.etcd.io/etcd/server/v3)
BUILT := $(CACHE)/kubernetes-$(KUBERNETES_VERSION)-etcd-$(ETCD_VERSION)
ifeq ($(KUBEBUILDER_ASSETS),)
CONTROL_PLANE := $(BUILT)/etcd $(BUILT)/kube-apiserver
override KUBEBUILDER_ASSETS := $(BUILT)
endif
export KUBEBUILDER_ASSETS

# Helm, Prometheus and Jaeger, each in a module outside go.work that says of which
# version; Prometheus without the dozens of clouds that it can ask for what to scrape.
# make test takes helm 4 alone, and some of what is asked of Prometheus and Jaeger;
# make test-charts and make test-telemetry take the rest.
HELM3_VERSION := $(call pinned,helm3,helm.sh/helm/v3)
HELM4_VERSION := $(call pinned,helm4,helm.sh/helm/v4)
PROMETHEUS_VERSION := $(call pinned,prometheus,github.com/prometheus/prometheus)
HELM3 := $(CACHE)/helm-$(HELM3_VERSION)/helm
HELM4 := $(CACHE)/helm-$(HELM4_VERSION)/helm
HELMS := $(HELM3) $(HELM4)
PROMTOOL := $(CACHE)/promtool-$(PROMETHEUS_VERSION)/promtool
PROMETHEUS := $(CACHE)/prometheus-$(PROMETHEUS_VERSION)/prometheus
JAEGER := $(CACHE)/jaeger-$(call pinned,jaeger,github.com/jaegertracing/jaeger)/jaeger
BACK_ENDS := $(PROMETHEUS) $(JAEGER)
WITH_BACK_ENDS = TRIANGLE_PROMETHEUS=$(PROMETHEUS) TRIANGLE_JAEGER=$(JAEGER)
empty :=
listed = $(subst $(empty) $(empty),:,$(strip $(1)))

# What makes a whole node of it, with the name server in a module of its own: its
# requirements are not Kubernetes's.
NODE := kube-controller-manager kube-scheduler kubelet kube-proxy kubectl
COREDNS := $(CACHE)/coredns-$(call pinned,coredns,github.com/coredns/coredns)/coredns
WHOLE := $(addprefix $(BUILT)/,etcd kube-apiserver $(NODE)) $(COREDNS) $(BIN)/pause $(BIN)/netpol
export TRIANGLE_CLUSTER_PROGRAMS := $(BUILT):$(dir $(COREDNS)):$(BIN)

# What images are called, and what they are for.
IMAGES    := $(BIN)/images
REGISTRY  ?= registry.example.com/triangle
VERSION   ?= dev
PLATFORMS ?= linux/amd64

# All is built as the binaries are, so that nothing is built in a second way but what
# the race detector watches. Tests are not vetted, as make lint vets everything.
export CGO_ENABLED := 0
export GOFLAGS := $(strip $(shell go env GOFLAGS) -trimpath -vet=off)

# The race detector needs a C compiler. Where there is none the tests run without.
# It leaves out memory that is not Go's, which is all that SQLite works in, C that
# was translated: told of each access all the same, it took most of the time.
# SQLite's driver is watched, and what calls it.
TRANSLATED := modernc.org/sqlite/lib modernc.org/libc modernc.org/memory
RACE := $(shell command -v "$$(go env CC)" >/dev/null 2>&1 && echo -race $(TRANSLATED:%=-gcflags=%=-race=false))
RACED := $(if $(RACE),CGO_ENABLED=1 )go test $(RACE)

DATA ?= $(CURDIR)/.triangle
SEEDS ?= 2000
# So many hit every fault at every await point.
TEST_SEEDS := 200
SEED_START ?= 1
FUZZTIME ?= 10s
COUNT ?= 4
# 400,000 disks meet a million power cuts and kills.
CRASH_SEEDS ?= 400000
KILLS ?= 27000
BUGS ?=
MOST ?= 200
BENCH ?=
ROUNDS ?= 16
RUN ?= .
SEED ?= 0
EVENTS ?= 200000
KEYS ?= 10000,1000000
FLOWS ?= 1000

##@ Use

.PHONY: run
run: build ## Start everything on this machine, import the sample, play the scenario, then serve until Ctrl-C
	$(BIN)/triangle up --data $(DATA)

.PHONY: demo
demo: build ## The same, but exit when the scenario has been played
	$(BIN)/triangle demo --data $(DATA)

.PHONY: build
build: ## Build the binaries into bin/
	@mkdir -p $(BIN)
	CGO_ENABLED=0 go build -trimpath -o $(BIN)/ \
		./services/eventstore/cmd/event-store ./services/channel/cmd/channel-support \
		./services/sales/cmd/sales-support ./services/marketing/cmd/marketing-support \
		./operator/cmd/triangle-operator ./tools/cmd/triangle

.PHONY: images
images: ## Write images of the programs into bin/images/, as OCI archives: VERSION=tag PLATFORMS=linux/amd64,linux/arm64
	go run ./tools/cmd/images --out $(IMAGES) --registry $(REGISTRY) --version $(VERSION) --platforms $(PLATFORMS) \
		$(shell git log -1 --format='--revision %H --created %cI' 2>/dev/null)

.PHONY: cluster
cluster: $(WHOLE) ## Start a Kubernetes of one node on this machine, as root, and print the KUBECONFIG to export
	go run ./tools/cmd/cluster up

.PHONY: cluster-down
cluster-down: ## End it, and take away all that it has made
	go run ./tools/cmd/cluster down

$(BIN)/pause: $(wildcard tools/cmd/pause/*.go)
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o $@ ./tools/cmd/pause

$(BIN)/netpol: $(wildcard tools/cmd/netpol/*.go tools/cluster/netpol/*.go)
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o $@ ./tools/cmd/netpol

##@ Check

.PHONY: test
test: export TRIANGLE_HELM := $(HELM4)
test: export TRIANGLE_PROMTOOL := $(PROMTOOL)
test: $(CONTROL_PLANE) $(HELM4) $(BACK_ENDS) $(PROMTOOL) ## Run all tests but e2e, with the race detector on
	$(if $(RACE),,@echo 'No C compiler: the tests run without the race detector.')
	@echo '$(RACED) -timeout 20m, all packages but $(PLAYED) and e2e'
	@$(RACED) -timeout 20m -skip '^(TestQuickBugsAreFound|TestScenariosInSimulation)$$' $(TESTED)
	go test -timeout 20m -skip '^TestTheOperatorWorksWithWhatItsChartGives$$' $(PLAYED:%=./%)
	go test -run $(FAULTS)'|DoNotLiveInMemory|AStartReads' ./services/eventstore/internal/storage
	go test -timeout 20m -parallel 4 ./services/internal/flow
	TRIANGLE_SEEDS=$(TEST_SEEDS) $(SIMULATED) -run '^TestSimulation$$' -timeout 30m -parallel 4 ./services/simulation
	$(SIMULATED) -count=1 -run '^TestScenariosInSimulation$$' -parallel 4 ./services/simulation
	go test -count=1 ./tools/arch ./tools/internal/planted
	$(WITH_BACK_ENDS) go test -count=1 -run '^TestTelemetry(OneVisitorIsOneTrace|AlertsWhileAFlowStalls)$$' ./e2e

# The event store's faults, at full count only without the race detector: it
# makes them ten times slower, and sees nothing of another process. Memory and
# what a start reads are measured without it too. The flows' stories are told in
# full without it, with it on SQLite alone. The simulation lets one thing
# happen at a time: of races a few seeds show as much as many. Four stories go on
# at once even where there are two processors, as each waits for its database now
# and then. The last ones read what is outside of their modules, whose changes a
# cached result would not see.
FAULTS := 'PowerCuts|Killed|Fault|Damage'
# A simulated suite lives for a second, and leaves much: four times the heap takes a
# fifth off its time.
SIMULATED := GOGC=400 go test
# What drives programs of their own, of which the race detector sees nothing, counts
# what others are tested for with it, or is pure and long: nothing is shared in it.
PLAYED := operator/internal/faults operator/bench operator/internal/plan tools/internal/charts \
	services/channel/internal/experiment services/marketing/internal/segment
TESTED = $(filter-out $(addprefix %/,$(PLAYED)),$(shell go list $(filter-out %/e2e/...,$(PACKAGES))))

.PHONY: test-fast
test-fast: ## Run the tests that take no real processes, without the race detector
	go test -short $(filter-out %/e2e/...,$(PACKAGES))

.PHONY: test-operator
test-operator: $(CONTROL_PLANE) ## Run the operator's tests, its faults at every point, and those of triangle migrate, against a real API server
	$(RACED) ./operator/... ./tools/internal/migrate
	go test -timeout 60m -parallel 4 ./operator/internal/faults -faults.full
	$(RACED) -run '^TestScripts$$/^migrate$$' ./tools/internal/cli

.PHONY: kubernetes
kubernetes: $(CONTROL_PLANE) ## Build kube-apiserver and etcd for the tests, and say where they are
	@echo "export KUBEBUILDER_ASSETS=$(KUBEBUILDER_ASSETS)"

.PHONY: sim
sim: ## Simulate the services under faults: SEEDS=n schedules from SEED_START=m on
	@out=$$(mktemp); trap 'rm -f '$$out EXIT; \
	TRIANGLE_SEEDS=$(SEEDS) TRIANGLE_SEED_START=$(SEED_START) $(SIMULATED) -run '^TestSimulation' -count=1 -timeout 0 -v \
		./services/internal/flow/ ./services/simulation/ >$$out 2>&1; \
	status=$$?; test $$status = 0 || grep -vE '^=== |^ *--- PASS' $$out; \
	sed -n '/faults by await point/,/operator/p' $$out; \
	awk '/schedules run: / {sub(/.*schedules run: /, ""); run += $$1; diverged += $$3} \
		END {printf "schedules run: %d, divergences: %d\n", run, diverged}' $$out; exit $$status

.PHONY: scenarios
scenarios: ## Play the scenarios, in simulation and on real processes, and write what came of them into SCENARIOS.md
	$(SIMULATED) -count=1 -run '^TestScenariosInSimulation$$' ./services/simulation -update
	go test -count=1 -run '^TestScenariosOnRealProcesses$$' ./e2e -update
	@cat SCENARIOS.md

.PHONY: planted
planted: ## Plant bugs, each by itself, and want a simulation of make sim to find it: BUGS=expression, MOST=n seeds
	go run ./tools/cmd/planted -bugs '$(BUGS)' -most $(MOST)

.PHONY: faults
faults: ## Take the event store through power cuts, kills, disk faults and damage: CRASH_SEEDS=n KILLS=n
	@out=$$(mktemp); trap 'rm -f '$$out EXIT; \
	go test -count=1 -timeout 0 -v -run 'Every|Damage|CutShort|CutOff|Missing|Twin' ./services/eventstore/internal/journal -faults.full >$$out 2>&1 && \
	go test -count=1 -timeout 0 -v -run $(FAULTS) ./services/eventstore/internal/storage \
		-faults.full -crash.seeds $(CRASH_SEEDS) -kills $(KILLS) >>$$out 2>&1; \
	status=$$?; test $$status = 0 || cat $$out; grep -E '^( *[a-z_]+_test\.go|--- |ok|FAIL)' $$out; exit $$status

.PHONY: fuzz
fuzz: ## Fuzz every parser for FUZZTIME each
	@for target in $$(grep -rlE '^func Fuzz' --include='*_test.go' $(MODULES)); do \
		for name in $$(grep -oE '^func Fuzz[A-Za-z0-9_]+' $$target | cut -c6-); do \
			echo "== $$name"; go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s ./$$(realpath --relative-to=. $$(dirname $$target)) || exit 1; \
		done; done

.PHONY: bench
bench: bench-store bench-flows bench-contacts bench-operator ## Measure the store, the flows, contacts and the operator beside their peers, then run the modules' benchmarks
	go test -run '^$$' -bench . -skip '^BenchmarkOperator$$' -benchmem $(PACKAGES)

.PHONY: bench-store
bench-store: ## Measure the store beside its peers: BENCH="process restart" for some measures, ROUNDS=n
	cd $(PEERS) && $(AS_USUAL) go test ./... && $(AS_USUAL) go run . --rounds $(ROUNDS) $(or $(BENCH),store)

.PHONY: bench-flows
bench-flows: ## Measure the flows: BENCH="window growth" for some measures, ROUNDS=n EVENTS=n
	cd $(PEERS) && $(AS_USUAL) go test ./... && $(AS_USUAL) go run . --rounds $(ROUNDS) --events $(EVENTS) $(or $(BENCH),flows)

.PHONY: bench-contacts
bench-contacts: ## Measure contacts, from the start to the next best actions: ROUNDS=n KEYS=customers,customers
	cd $(PEERS) && $(AS_USUAL) go test ./... && $(AS_USUAL) go run . --rounds $(ROUNDS) --keys $(KEYS) contacts

.PHONY: bench-operator
bench-operator: $(CONTROL_PLANE) ## Measure the operator with very many flows: FLOWS=n ROUNDS=n
	go test -run '^$$' -bench '^BenchmarkOperator$$' -benchtime 1x -timeout 0 -v ./operator/bench -flows $(FLOWS) -rounds $(ROUNDS)

.PHONY: e2e
e2e: may-cluster ## Run the black-box tests: against real processes, and then on a real Kubernetes, on this machine as root, or that of KUBECONFIG=file
	@$(MAKE) --no-print-directory e2e-processes
	@$(MAKE) --no-print-directory e2e-cluster

.PHONY: e2e-processes
e2e-processes: ## Run the black-box tests against real processes
	$(RACED) -count=1 -skip ^TestTelemetry ./e2e

.PHONY: test-telemetry
test-telemetry: $(BACK_ENDS) ## Ask a real Prometheus and a real Jaeger what they know of a suite that runs
	$(WITH_BACK_ENDS) go test -count=1 -v -run '^TestTelemetry' ./e2e

# What make e2e shows on Kubernetes, within minutes; make e2e-full shows the rest, too.
SLICE := ^TestAnEnvironmentServesAndMigratesAFlow$$

.PHONY: e2e-cluster
e2e-cluster: may-cluster $(if $(filter command,$(origin KUBECONFIG)),,$(WHOLE)) $(HELM4) images ## Prove the suite on a real Kubernetes: one on this machine, as root, or that of KUBECONFIG=file
	$(ON_CLUSTER) TRIANGLE_IMAGES=$(IMAGES) go test -count=1 -v -timeout 20m -run '$(SLICE)' ./e2e/kubernetes

.PHONY: e2e-full
e2e-full: may-cluster $(WHOLE) $(HELM4) $(PROMETHEUS) $(JAEGER) images ## Show all of it on one of this machine, with faults, too: RUN=expression for some tests, SEED=n for the same faults
	$(MAKE) --no-print-directory images IMAGES=$(IMAGES)-next VERSION=$(VERSION)-next
	go run ./tools/cmd/images --out $(IMAGES)-broken --registry $(REGISTRY) --version $(VERSION)-broken --platforms $(PLATFORMS) \
		--only sales-support --args='--eventstore=esdb://nowhere.invalid:2113?tls=false'
	$(ON_CLUSTER) TRIANGLE_IMAGES=$(IMAGES):$(IMAGES)-next:$(IMAGES)-broken TRIANGLE_PROMETHEUS=$(PROMETHEUS) TRIANGLE_JAEGER=$(JAEGER) \
		go test -count=1 -v -timeout 90m -run '$(RUN)' ./e2e/kubernetes -seed $(SEED) -killed

# What the tests on Kubernetes are told. A KUBECONFIG of the environment is not meant:
# nobody is to find them on the cluster that he happens to work on.
KUBECONFIG_MEANT = $(if $(filter command,$(origin KUBECONFIG)),$(abspath $(KUBECONFIG)))
ON_CLUSTER = TRIANGLE_HELM=$(HELM4) TRIANGLE_REGISTRY=$(REGISTRY) TRIANGLE_VERSION=$(VERSION) \
	TRIANGLE_E2E_KUBECONFIG='$(KUBECONFIG_MEANT)'

# It is said before anything is built for it.
.PHONY: may-cluster
may-cluster:
	@test -n '$(KUBECONFIG_MEANT)' -o "$$(id -u)" = 0 || { echo \
		'A Kubernetes on this machine takes root: run make as root, or say KUBECONFIG=file of a cluster that can pull the images; make e2e-processes needs neither.' >&2; exit 1; }

# What kind puts on its nodes, Kubernetes's version among it, is pinned in kind itself.
.PHONY: e2e-kind
e2e-kind: $(TOOLS)/kind images ## Prove the same on a cluster that kind makes for it, which takes Docker, and kubectl
	kind create cluster --name triangle-e2e --kubeconfig $(BIN)/kind.kubeconfig --wait 5m
	trap 'kind delete cluster --name triangle-e2e --kubeconfig $(BIN)/kind.kubeconfig' EXIT; \
	for archive in $(IMAGES)/*.tar; do kind load image-archive --name triangle-e2e $$archive || exit 1; done; \
	$(MAKE) e2e-cluster KUBECONFIG=$(BIN)/kind.kubeconfig

.PHONY: conformance
conformance: ## Run the suite of EventStoreDB's own Go client against the event store
	go run ./tools/cmd/conformance

.PHONY: pubsub
pubsub: ## Run Watermill's universal pub/sub suite against the event store: with a restart, and COUNT at a time
	go test -count=1 ./services/watermillesdb/
	STRESS_TEST_COUNT=$(COUNT) $(RACED) -tags stress -count=1 -timeout 30m -run '^TestUniversalSuiteUnderStress$$' ./services/watermillesdb/ -pubsub.stress

.PHONY: test-charts
test-charts: $(CONTROL_PLANE) $(HELMS) $(PROMTOOL) ## Run the charts' tests with helm 3 and 4 against a real API server, and those of the alerts
	TRIANGLE_HELM=$(call listed,$(HELMS)) TRIANGLE_PROMTOOL=$(PROMTOOL) go test -count=1 -timeout 20m ./tools/internal/charts

.PHONY: lint
lint: $(TOOLS)/golangci-lint $(TOOLS)/buf $(TOOLS)/actionlint ## Lint code, contracts and workflows
	actionlint -shellcheck= -pyflakes=
	cd contracts && buf lint && buf format --diff --exit-code
	cd contracts && buf breaking --against baseline.binpb
	@for module in $(MODULES); do echo "lint $$module"; (cd $$module && golangci-lint run ./...) || exit 1; done
	cd $(PEERS) && GOWORK=off golangci-lint run ./...

.PHONY: check
check: gen fmt lint test clean-tree ## Generate, format, lint, test, and want a clean tree

.PHONY: release
release: $(TOOLS)/crane $(HELM4) ## Push images and charts: VERSION=1.4.0 REGISTRY=where, PLATFORMS=; leaves in bin/release/ what goes with a release
	HELM=$(HELM4) REGISTRY=$(REGISTRY) PLATFORMS=$(PLATFORMS) .ci/release $(VERSION)

.PHONY: clean-tree
clean-tree:
	@git diff --exit-code --stat && test -z "$$(git status --porcelain)" || \
		{ git status --short; echo 'The tree is not clean: commit what make gen and make fmt have changed.'; exit 1; }

##@ Change

.PHONY: gen
gen: $(TOOLS)/buf $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc $(TOOLS)/protoc-gen-grpc-gateway $(TOOLS)/protoc-gen-openapiv2 $(TOOLS)/controller-gen ## Generate code from the contracts, the operator's CRDs, what the charts hold of other sources, and the README's diagram
	cd contracts && buf generate && buf generate --template buf.gen.openapi.yaml
	cd contracts && buf breaking --against baseline.binpb && buf build --exclude-source-info -o baseline.binpb
	go run ./tools/cmd/flowdiagram README.md
	cd operator && controller-gen object crd:crdVersions=v1 paths=./api/... output:crd:dir=config/crd
	go run ./tools/cmd/charts charts

.PHONY: fmt
fmt: $(TOOLS)/gofumpt $(TOOLS)/buf ## Format code and contracts
	gofumpt -w $(MODULES)
	cd contracts && buf format -w

.PHONY: tidy
tidy: ## Tidy every module
	go work sync
	@for module in $(MODULES); do (cd $$module && go mod tidy) || exit 1; done
	cd $(PEERS) && GOWORK=off go mod tidy
	@for module in kubernetes coredns helm3 helm4 prometheus jaeger; do (cd tools/$$module && GOWORK=off go mod tidy) || exit 1; done

##@ Help

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# A tool is built once per version into the cache, and linked to from .tools.
define tool
$(TOOLS)/$(1): $(CACHE)/$(notdir $(2))/$(1)
	@mkdir -p $(TOOLS) && ln -sf $$< $$@
$(CACHE)/$(notdir $(2))/$(1):
	@echo "build $(2)" && CGO_ENABLED=0 GOBIN=$$(dir $$@) go install $(2)
endef
$(eval $(call tool,buf,$(BUF)))
$(eval $(call tool,controller-gen,$(CONTROLLER_GEN)))
$(eval $(call tool,protoc-gen-go,$(PROTOC_GEN_GO)))
$(eval $(call tool,protoc-gen-go-grpc,$(PROTOC_GEN_GRPC)))
$(eval $(call tool,protoc-gen-grpc-gateway,$(PROTOC_GEN_GATEWAY)))
$(eval $(call tool,protoc-gen-openapiv2,$(PROTOC_GEN_OPENAPI)))
$(eval $(call tool,gofumpt,$(GOFUMPT)))
$(eval $(call tool,golangci-lint,$(GOLANGCI_LINT)))
$(eval $(call tool,actionlint,$(ACTIONLINT)))
$(eval $(call tool,kind,$(KIND)))
$(eval $(call tool,crane,$(CRANE)))

# A program of a module outside go.work is built once per version too. It gets its name
# only when it is whole: a build that was broken off leaves nothing that looks like one.
version = $(subst ., ,$(KUBERNETES_VERSION:v%=%))
STAMP = -X k8s.io/component-base/version.gitVersion=$(KUBERNETES_VERSION) \
	-X k8s.io/component-base/version.gitMajor=$(word 1,$(version)) \
	-X k8s.io/component-base/version.gitMinor=$(word 2,$(version))
define program
$(1):
	@mkdir -p $$(@D) && echo "build $$(@F) in $$(@D), which takes minutes the first time" >&2
	@cd tools/$(2) && GOWORK=off CGO_ENABLED=0 go build -trimpath $(5) -ldflags '-s -w $(4)' -o $$@.$$$$$$$$ $(3) && \
		mv $$@.$$$$$$$$ $$@ || { rm -f $$@.$$$$$$$$; exit 1; }
endef
$(eval $(call program,$(BUILT)/etcd,kubernetes,go.etcd.io/etcd/server/v3))
$(foreach name,kube-apiserver $(NODE),$(eval $(call program,$(BUILT)/$(name),kubernetes,k8s.io/kubernetes/cmd/$(name),$(STAMP))))
$(eval $(call program,$(COREDNS),coredns,.))
$(eval $(call program,$(HELM4),helm4,helm.sh/helm/v4/cmd/helm,-X helm.sh/helm/v4/internal/version.version=$(HELM4_VERSION)))
$(eval $(call program,$(PROMTOOL),prometheus,github.com/prometheus/prometheus/cmd/promtool,,-tags remove_all_sd))
$(eval $(call program,$(PROMETHEUS),prometheus,github.com/prometheus/prometheus/cmd/prometheus,,-tags remove_all_sd))
$(eval $(call program,$(JAEGER),jaeger,github.com/jaegertracing/jaeger/cmd/all-in-one))
# Helm 3 takes the version of Kubernetes, where it asks no cluster, from its linker, as
# its own release does.
$(eval $(call program,$(HELM3),helm3,helm.sh/helm/v3/cmd/helm,-X helm.sh/helm/v3/internal/version.version=$(HELM3_VERSION) \
	-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=$(word 1,$(version)) -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=$(word 2,$(version)) \
	-X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=$(word 1,$(version)) -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=$(word 2,$(version))))
