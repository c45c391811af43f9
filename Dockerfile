# A node in a container: docker build -t lavandin . && docker run -p 7637:7637 -v lavandin:/var/lib/lavandin lavandin
#
# The image holds the binary, root certificates for https and the licences, nothing else is needed; user code in
# pipelines needs a Python with numpy and pyarrow on top. A node that others can reach wants a key: add
# -e LAVANDIN_API_KEY=...

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin lavandin

FROM debian:12-slim
RUN groupadd --gid 10001 lavandin \
    && useradd --uid 10001 --gid lavandin --no-create-home --home-dir /var/lib/lavandin lavandin \
    && install --directory --owner lavandin --group lavandin --mode 0700 /var/lib/lavandin
COPY --from=build /src/target/release/lavandin /usr/local/bin/lavandin
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY LICENSE NOTICE crates/server/sample/NOTICE /usr/share/doc/lavandin/
ENV LAVANDIN_HOST=0.0.0.0 \
    LAVANDIN_PORT=7637 \
    LAVANDIN_DATA_DIR=/var/lib/lavandin
USER 10001:10001
VOLUME ["/var/lib/lavandin"]
EXPOSE 7637
# SIGTERM lets running requests finish and closes the log.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/${LAVANDIN_PORT} && printf 'GET /readyz HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["lavandin"]
CMD ["serve"]
