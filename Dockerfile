# The digests are those of the images for all platforms; Dependabot proposes newer ones.
FROM ghcr.io/astral-sh/uv:0.13.0@sha256:cdc6093146eb3ff6a40107b38f008b789e050e77ad87865e381d9917da55a168 AS uv

FROM python:3.13.16-slim-trixie@sha256:bf44cdfcb76cd3b41e879bc058fc37ec5872002ccfde7fcb765e218cde0cd79c AS python

FROM python AS build
COPY --from=uv /uv /bin/uv
ENV UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY tap_affiliate_reports tap_affiliate_reports
RUN uv build --wheel --out-dir /dist
RUN uv venv /opt/tap && uv pip install --python /opt/tap /dist/*.whl

FROM python
ARG VERSION=unknown
LABEL org.opencontainers.image.title="tap-affiliate-reports" \
      org.opencontainers.image.description="Singer tap that loads affiliate-network reports, exported by jobs, into a warehouse" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /opt/tap /opt/tap
ENV PATH="/opt/tap/bin:${PATH}"
WORKDIR /work
# By number, because Kubernetes can't tell of a name whether it is root.
USER 10001:10001
ENTRYPOINT ["tap-affiliate-reports"]
