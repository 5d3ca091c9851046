# syntax=docker/dockerfile:1
# One image, one process to start. Alone, it supervises a PostgreSQL and a Redis of its own under /data:
#
#   docker build -t betternews .
#   docker run -d --name news --init --stop-timeout 40 -p 8080:8080 -v betternews:/data \
#     -e BASE_URL=https://news.example.org -e SECRET_KEY="$(head -c 32 /dev/urandom | base64)" betternews
#   docker logs news          # holds the link that makes you its administrator
#
# Keep the secret: a new one ends every session. With DATABASE_URL and REDIS_URL it uses those instead,
# and any number of such containers may share them.

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The queries are checked against .sqlx; no database is needed to build.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    SQLX_OFFLINE=true cargo build --release --locked --bin betternews \
 && install -D target/release/betternews /out/betternews

FROM debian:bookworm-slim
# Debian's packages would make a cluster and start servers; here the site does both, when it starts.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates postgresql-common redis-server \
 && echo 'create_main_cluster = false' >>/etc/postgresql-common/createcluster.conf \
 && apt-get install -y --no-install-recommends postgresql-15 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --no-create-home --home-dir /data betternews \
 && install -d -o betternews -g betternews -m 0700 /data
COPY --from=build /out/betternews /usr/local/bin/betternews
COPY LICENSE LICENSE-MIT LICENSE-APACHE /usr/share/doc/betternews/
ENV APP_ENV=production \
    BIND=0.0.0.0:8080 \
    BETTERNEWS_DATA_DIR=/data \
    LOG_FORMAT=json
USER betternews
WORKDIR /data
VOLUME /data
EXPOSE 8080
# A first start makes the databases; later ones take well under a second.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["betternews", "healthcheck"]
ENTRYPOINT ["betternews"]
CMD ["serve"]
