# What people type. Everything works in a fresh clone with Go, Node and make.

GO ?= go
RACE ?= -race

.PHONY: demo build console dashboards test servers prepare engine images e2e bench soak lint readme clean

# The demonstrator: builds what is missing, runs until Ctrl-C.
demo: bin/dcs
	@exec bin/dcs demo

# The operators' console, into the gateway's folder, from where it goes into the binary.
CONSOLE = services/gateway/console
console:
	cd $(CONSOLE) && npm ci --no-audit --no-fund --loglevel=error && npm run build

# All our binaries, into bin/.
build: console
	$(GO) build -o bin/ ./drivers/psu ./drivers/sensor ./drivers/ph2acf ./drivers/sim ./drivers/ph2acfsim \
		./services/loader ./services/runcontrol ./services/calibration ./services/broker ./services/gateway ./cmd/dcs

.PHONY: bin/dcs
bin/dcs:
	@$(GO) build -o bin/ ./cmd/dcs

# All tests that need no root and no installed server.
test: console
	cd $(CONSOLE) && npm run check && npm test
	$(GO) vet ./...
	$(GO) test $(RACE) -timeout 30m ./...
	$(GO) -C tools/composecheck test ./...
	cd nodered && npm ci --no-audit --no-fund --loglevel=error && npm test
	cd grafana && npm ci --no-audit --no-fund --loglevel=error && npm test

# Grafana's dashboards, from their source.
dashboards:
	cd grafana && npm ci --no-audit --no-fund --loglevel=error && npm run build

# The databases of the demonstrator and the tests.
servers:
	$(GO) -C tools/influxd build -o ../../bin/ -ldflags "-X main.version=1.8.10" github.com/influxdata/influxdb/cmd/influxd
	$(GO) -C tools/ferretdb build -o ../../bin/ .

# What takes long to make for the tests in containers, and needs no engine.
prepare:
	$(GO) -C tools/compose build -o ../../bin/docker-compose -ldflags "-s -w -X github.com/docker/compose/v2/internal.Version=v2.40.3" github.com/docker/compose/v2/cmd
	e2e/engine/standins root

# A Docker Engine, started where none answers, with the images that ours and the
# stack need; what cannot be pulled is made. Takes root, and Debian.
engine: servers prepare
	e2e/engine/start
	e2e/engine/standins

# All our images.
images: engine
	e2e/engine/images

# The whole stack with real binaries, Mosquitto, InfluxDB, FerretDB, Node-RED and
# Chromium; at the end in containers. The faults take root, for a small disk,
# control groups and a network namespace; the containers for the engine. What is
# made beside the faults gives way to them: they wait more than they compute, and
# nothing runs beside the tests that measure times.
e2e: build servers
	$(GO) -C tools/influxd test ./...
	$(GO) -C tools/ferretdb test ./...
	cd nodered && npm ci --no-audit --no-fund --loglevel=error
	cd e2e/nodered && npm ci --no-audit --no-fund --loglevel=error
	cd e2e/console && npm ci --no-audit --no-fund --loglevel=error
	$(GO) test -tags e2e -count=1 -timeout 10m -v ./pkg/runs ./pkg/history
	$(GO) test -tags e2e -count=1 -timeout 40m -parallel 8 -v -skip '^TestFault' ./e2e ./e2e/bench
	nice -n 19 $(MAKE) --no-print-directory prepare & preparing=$$!; \
		$(GO) test -tags e2e -count=1 -timeout 40m -parallel 8 -v -run '^TestFault' ./e2e; ended=$$?; \
		wait $$preparing && exit $$ended
	$(MAKE) --no-print-directory images
	$(GO) test -tags e2e -count=1 -timeout 40m -v ./e2e/containers

# The long ones in full; the faults need root, as in e2e.
soak: build
	DCS_WALKS=20000 $(GO) test -run Walk -timeout 60m ./pkg/psu
	$(GO) -C tools/influxd build -o ../../bin/ -ldflags "-X main.version=1.8.10" github.com/influxdata/influxdb/cmd/influxd
	DCS_ROUNDS=200 DCS_FROZEN=2m DCS_AWAY=5m DCS_LOSSY=5m $(GO) test -tags e2e -count=1 -timeout 60m -parallel 8 -v -run 'TestFault(01|07|09|19)' ./e2e
	$(GO) -C tools/ferretdb build -o ../../bin/ .
	DCS_RESULTS_MB=1000 DCS_KILLS=50 $(GO) test -tags e2e -count=1 -timeout 60m -v -run 'TestRuns' ./e2e

# What a command, a reading, a line for the archive and a message cost; then the
# loader against Telegraf, a quarter of an hour: BENCH='-quick' or others of its flags.
bench:
	$(GO) build -o bin/ ./services/loader ./e2e/bench
	$(GO) -C tools/influxd build -o ../../bin/ -ldflags "-X main.version=1.8.10" github.com/influxdata/influxdb/cmd/influxd
	$(GO) -C tools/telegraf build -o ../../bin/ -tags "custom,inputs.mqtt_consumer,outputs.influxdb_v2,parsers.json" github.com/influxdata/telegraf/cmd/telegraf
	$(GO) test -run '^$$' -bench . -benchmem ./...
	bin/bench $(BENCH)

lint:
	$(GO) -C tools/lint build -o ../../bin/ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	bin/golangci-lint run ./...

# The tables of settings in the programs' READMEs, from the code.
readme:
	UPDATE=1 $(GO) test -run README ./drivers/... ./services/... ./pkg/brokerauth

clean:
	rm -rf bin data
