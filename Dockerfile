# The daemon, for x86-64 and ARM: `docker buildx build --platform linux/arm64 .` compiles it here, not under
# emulation. One binary; the subcommand is the container's argument. The local stand is left out, unless
# `--build-arg FEATURES=local` asks for it. For a release, pin both bases by digest.
FROM --platform=$BUILDPLATFORM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /src

# They write down which crates are inside: in the binary, where scanners look, and in a list beside it.
RUN cargo install --locked cargo-auditable@0.7.7 cargo-cyclonedx@0.5.9

ARG TARGETARCH
COPY deploy/image deploy/image
RUN deploy/image/build prepare

# Dependencies first: their layer stays while only our own code changes.
ARG FEATURES=
COPY Cargo.toml Cargo.lock ./
COPY tests/simulation/Cargo.toml tests/simulation/Cargo.toml
COPY bench/Cargo.toml bench/Cargo.toml
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs \
    && deploy/image/build compile \
    && deploy/image/build list \
    && rm -r src

# What `--version` and the metric tidewire_build_info say: `docker build --build-arg COMMIT=$(git rev-parse HEAD)`.
ARG COMMIT=unknown
ENV TIDEWIRE_COMMIT=$COMMIT
COPY src src
COPY deploy/iam deploy/iam
# The stand-ins above are newer than the sources: cargo must not take them for current.
RUN touch src/main.rs src/lib.rs \
    && deploy/image/build compile

FROM gcr.io/distroless/cc-debian12:nonroot AS run
COPY --from=build /out/tidewire /usr/local/bin/tidewire
COPY --from=build /out/tidewire.cdx.json /usr/share/sbom/tidewire.cdx.json
# By number, so that `runAsNonRoot` can be checked.
USER 65532:65532
EXPOSE 9090
STOPSIGNAL SIGTERM
# There is no shell and no curl in here: the binary asks itself. ECS wants this in the task definition.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
    CMD ["/usr/local/bin/tidewire", "health"]
ENTRYPOINT ["/usr/local/bin/tidewire"]
CMD ["--help"]
