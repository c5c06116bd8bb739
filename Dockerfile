# The proxy as one image: docs/docker.md says how it is run, docs/decisions/0020-image.md why it is made like this.

FROM python:3.11-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore

# Without a pip of its own: what runs cannot install. Wheels alone: nothing is compiled, here or later.
RUN python -m venv --without-pip /opt/venv
COPY requirements.txt requirements-assets.txt /build/
RUN python -m pip --python /opt/venv/bin/python install --only-binary :all: --require-hashes -r /build/requirements.txt \
    && python -m pip --python /opt/venv/bin/python install --only-binary :all: --no-deps --require-hashes \
        -r /build/requirements-assets.txt

COPY LICENSE gunicorn.conf.py wsgi.py /app/
COPY admin_app /app/admin_app
COPY core /app/core
COPY migrations /app/migrations
COPY proxy_app /app/proxy_app
COPY templates /app/templates
# Compiled once here, pages too: the code cannot be written to where it runs.
WORKDIR /app
RUN python -m compileall -q /app && /opt/venv/bin/python -c "from core.pages import Pages; Pages('').prepared()" \
    && chmod -R a+rX,go-w /app /opt/venv


FROM python:3.11-slim-bookworm

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ClaudeCodeProxy" \
      org.opencontainers.image.description="A gateway for teams on Claude Code: the plan first, Amazon Bedrock when it must" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PROXY_ENVIRONMENT=production \
    PROXY_BIND=0.0.0.0:8080 \
    PROXY_DATA_DIR=/var/lib/claude-code-proxy

# The one folder that is written to, and a place for short-lived files; declared, so that a volume there keeps owner and mode.
RUN install -d -o 10001 -g 10001 -m 0700 /var/lib/claude-code-proxy
VOLUME ["/var/lib/claude-code-proxy", "/tmp"]

COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app

WORKDIR /app
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PROXY_BIND'].rpartition(':')[2]), timeout=4); c.request('GET', '/health'); sys.exit(c.getresponse().status != 200)"]
CMD ["python", "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:create_app()"]
