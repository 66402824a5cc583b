# One image for each of our programs: docker build --build-arg BIN=loader .
#
# One target with an argument, not one target a program: a new program needs no
# change here. Only what the classic builder and BuildKit both know is used.
ARG GO_IMAGE=golang:1.26-bookworm

FROM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd cmd
COPY drivers drivers
COPY pkg pkg
COPY services services
ARG VERSION=0.1.0
# All programs at once: the layer is the same for every BIN and built only once.
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X trackerdcs/pkg/service.version=${VERSION}" \
        -o /out/ ./cmd/... ./drivers/... ./services/... \
    && mkdir -p /owned/data

# Nothing but the program: no shell, no libc, nobody to become root.
FROM scratch
ARG BIN=dcs
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/${BIN} /program
# A named volume mounted here takes over the owner, so that the program can write.
COPY --from=build --chown=65532:65532 /owned /
USER 65532:65532
WORKDIR /
ENV DCS_LOG_FORMAT=json
ENTRYPOINT ["/program"]
