# This project with the CPU set, for machines without a GPU: docs/containers.md. In a checkout:
#
#   docker build -f containers/cpu.Dockerfile -t verlaunch:cpu .
#   docker run --rm --init --shm-size=1g -v "$PWD":/train verlaunch:cpu --data my.json --model MODEL
FROM python:3.12-slim-bookworm

# vLLM's CPU build loads libnuma.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libnuma1 \
 && rm -rf /var/lib/apt/lists/*

# pip's mirrors; without PyTorch's CPU index torch comes with 4 GB of CUDA.
ARG PIP_INDEX_URL PIP_EXTRA_INDEX_URL
ENV HARDWARE=cpu PIP_NO_CACHE_DIR=1
WORKDIR /opt/verlaunch
COPY . .
RUN ./train.sh --version

# /train is the folder that is mounted: data, outputs, and ~/.cache with models. USER in words, so
# that another `docker run --user` has a name too, which torch asks for.
RUN useradd --uid 1000 --home-dir /train verlaunch \
 && install -d -o verlaunch /train
USER verlaunch
ENV USER=verlaunch HOME=/train
WORKDIR /train
HEALTHCHECK --interval=10m --timeout=2m --start-period=2m \
  CMD ["/opt/verlaunch/train.sh", "doctor", "--only", "machine,limits,versions", "--output", "/tmp/doctor.json"]
ENTRYPOINT ["/opt/verlaunch/train.sh"]
