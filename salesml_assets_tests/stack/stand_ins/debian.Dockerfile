# Servers of Debian's packages, one target for each image; paths, users and variables are those of the official images.
FROM debian:bookworm-slim AS packages
RUN apt-get update -qq && rm -f /etc/apt/apt.conf.d/docker-clean

FROM packages AS postgres
RUN apt-get install -y -qq --no-install-recommends postgresql-15 \
 && rm -rf /var/lib/postgresql/15 /var/lib/apt/lists/* && mkdir -p /docker-entrypoint-initdb.d /var/lib/postgresql/data \
 && chown postgres:postgres /var/lib/postgresql/data /var/run/postgresql && chmod 700 /var/lib/postgresql/data \
 && chmod 3777 /var/run/postgresql
ENV PATH=/usr/lib/postgresql/15/bin:$PATH PGDATA=/var/lib/postgresql/data
COPY postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
USER postgres
STOPSIGNAL SIGINT
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]

FROM packages AS prometheus
RUN apt-get install -y -qq --no-install-recommends prometheus wget && apt-get clean && rm -rf /var/lib/apt/lists/* \
 && mkdir /prometheus && chown nobody /prometheus && ln -s /usr/bin/prometheus /usr/bin/promtool /bin/ || true
USER nobody
ENTRYPOINT ["/usr/bin/prometheus"]

FROM packages AS alertmanager
RUN apt-get install -y -qq --no-install-recommends prometheus-alertmanager wget && apt-get clean && rm -rf /var/lib/apt/lists/* \
 && mkdir /alertmanager && chown nobody /alertmanager
USER nobody
ENTRYPOINT ["/usr/bin/prometheus-alertmanager"]

FROM packages AS haproxy
RUN apt-get install -y -qq --no-install-recommends haproxy && apt-get clean && rm -rf /var/lib/apt/lists/*
USER haproxy
STOPSIGNAL SIGUSR1
ENTRYPOINT ["haproxy"]

# Another S3 server than MinIO: conditional writes are the same, MinIO's console and metrics are missing.
FROM packages AS minio
RUN apt-get install -y -qq --no-install-recommends curl && apt-get clean && rm -rf /var/lib/apt/lists/*
LABEL salesml.stand-in=versitygw
COPY versitygw /usr/bin/versitygw
COPY minio-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
ENTRYPOINT ["docker-entrypoint.sh"]

FROM packages AS mailpit
COPY mailpit /mailpit
ENTRYPOINT ["/mailpit"]
