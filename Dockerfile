# Three images from one build: the authorization server, the resource server and the demo applications, each one static
# program in an empty image, without a shell, running as nobody.
#
#   docker build --target ingam    -t ingam .
#   docker build --target resource -t ingam-resource .
#   docker build --target demo     -t ingam-demo .

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /out/ ./cmd/ingam ./cmd/resource ./cmd/demo \
    && mkdir -p /out/owned && mkdir -m 700 /out/owned/data /out/owned/secrets && cp /etc/ssl/certs/ca-certificates.crt /out/

FROM scratch AS ingam
COPY --from=build /out/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ingam /ingam
# Volumes mounted here take over the owner: the store and the master key are the server's alone.
COPY --from=build --chown=65532:65532 /out/owned/ /
USER 65532:65532
ENV INGAM_DATA_DIR=/data
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=5 CMD ["/ingam", "healthcheck"]
ENTRYPOINT ["/ingam"]
CMD ["serve"]

FROM scratch AS resource
COPY --from=build /out/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/resource /resource
USER 65532:65532
EXPOSE 8081
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=5 CMD ["/resource", "healthcheck"]
ENTRYPOINT ["/resource"]

FROM scratch AS demo
COPY --from=build /out/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/demo /demo
USER 65532:65532
EXPOSE 8082 8083
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=5 CMD ["/demo", "healthcheck"]
ENTRYPOINT ["/demo"]
