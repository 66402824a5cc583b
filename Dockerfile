# One image for each of our programs: docker build --build-arg BIN=loader .
#
# One target with an argument, not one target a program: a new program needs no
# change here. EXTRA names further programs of ours that go beside it, on the
# path, for one that starts others. BASE is an image with programs of yours that
# it starts, with all that these need.
# Only what the classic builder and BuildKit both know is used.
ARG GO_IMAGE=golang:1.26-bookworm
ARG NODE_IMAGE=node:22-bookworm-slim
ARG BASE=scratch

# The operators' console, which goes into the gateway's binary.
FROM ${NODE_IMAGE} AS console
WORKDIR /src/services/gateway/console
COPY services/gateway/console/package.json services/gateway/console/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY services/gateway/console ./
COPY services/gateway/api/openapi.yaml ../api/
RUN npm run build

FROM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd cmd
COPY drivers drivers
COPY pkg pkg
COPY services services
COPY --from=console /src/services/gateway/console/dist services/gateway/console/dist
ARG VERSION=0.1.0
# All programs at once: the layer is the same for every BIN and built only once.
RUN CGO_ENABLED=0 GOCACHE=/tmp/build go build -trimpath -ldflags "-s -w -X trackerdcs/pkg/version.version=${VERSION}" \
        -o /out/ ./cmd/... ./drivers/... ./services/... \
    && rm -rf /tmp/build && mkdir -p /owned/data
# What goes into this image. COPY cannot leave out what has no name.
ARG BIN=dcs
ARG EXTRA=
RUN install -D "/out/${BIN}" /image/program \
    && for program in ${EXTRA}; do install -D "/out/${program}" "/image/usr/local/bin/${program}" || exit 1; done

# Nothing but the program: no shell, no libc, nobody to become root.
FROM ${BASE}
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /image /
# A named volume mounted here takes over the owner, so that the program can write.
COPY --from=build --chown=65532:65532 /owned /
USER 65532:65532
WORKDIR /
ENV DCS_LOG_FORMAT=json
ENTRYPOINT ["/program"]
