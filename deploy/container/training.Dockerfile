# The image that flow runs of a `docker` or `kubernetes` work pool start in: the training environment and git. The code
# is not in it; the deployment's pull step clones it. The build context has requirements.lock alone; build.sh makes it.

# Any image with Python 3.11 or 3.12, venv, bash and git.
ARG BASE=python:3.11

FROM ${BASE} AS build
COPY requirements.lock .
# Secrets as in Dockerfile: pip.conf says which registry, ca.crt whom to trust.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.crt \
    python3 -m venv /app/.venv && \
    /app/.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps \
      --require-hashes --requirement requirements.lock

FROM ${BASE}
ENV LANG=C.UTF-8 PYTHONUNBUFFERED=1 PATH=/app/.venv/bin:$PATH
# Nothing in here reports to anybody.
ENV DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false MLFLOW_DISABLE_TELEMETRY=true GX_ANALYTICS_ENABLED=false \
    BENTOML_DO_NOT_TRACK=true ORT_DISABLE_TELEMETRY=1
# /work is a place for a volume that keeps clones, data and checkpoints from run to run.
RUN groupadd --gid 1034 trainer && useradd --uid 1034 --gid 1034 --create-home --shell /usr/sbin/nologin trainer && \
    install -d -o 1034 -g 1034 -m 0700 /work
COPY --from=build /app/.venv /app/.venv
WORKDIR /work
USER 1034:1034
