# The daemon without the local stand. One binary; the subcommand is the container's argument.
# For a release, pin both bases by digest.
FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /src

# Dependencies first: their layer stays while only our own code changes.
COPY Cargo.toml Cargo.lock ./
COPY tests/simulation/Cargo.toml tests/simulation/Cargo.toml
COPY bench/Cargo.toml bench/Cargo.toml
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs \
    && cargo build --release --locked --package tidewire --no-default-features \
    && rm -r src

# What `--version` and the metric tidewire_build_info say: `docker build --build-arg COMMIT=$(git rev-parse HEAD)`.
ARG COMMIT=unknown
ENV TIDEWIRE_COMMIT=$COMMIT
COPY src src
COPY deploy/iam deploy/iam
# The stand-ins above are newer than the sources: cargo must not take them for current.
RUN touch src/main.rs src/lib.rs \
    && cargo build --release --locked --package tidewire --no-default-features

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/tidewire /usr/local/bin/tidewire
# By number, so that `runAsNonRoot` can be checked.
USER 65532:65532
EXPOSE 9090
STOPSIGNAL SIGTERM
# There is no shell and no curl in here: the binary asks itself. ECS wants this in the task definition.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
    CMD ["/usr/local/bin/tidewire", "health"]
ENTRYPOINT ["/usr/local/bin/tidewire"]
CMD ["--help"]
