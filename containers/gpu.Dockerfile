# This project with the GPU set, for NVIDIA GPUs, Kubernetes and KubeRay: docs/containers.md. It is
# built without a GPU as well; the driver comes from the machine that runs it. In a checkout:
#
#   docker build -f containers/gpu.Dockerfile -t verlaunch:gpu .
#   docker run --rm --init --gpus all --shm-size=16g -v "$PWD":/train verlaunch:gpu --data my.json
FROM python:3.12-slim-bookworm

# Triton compiles at run time; KubeRay asks for a pod's health with wget, and starts `ray`.
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev wget \
 && rm -rf /var/lib/apt/lists/*

# pip's mirrors
ARG PIP_INDEX_URL PIP_EXTRA_INDEX_URL
ENV HARDWARE=gpu PIP_NO_CACHE_DIR=1 NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /opt/verlaunch
COPY . .
RUN ./train.sh --version \
 && ln -s /opt/verlaunch/.venv/bin/ray /usr/local/bin/ray

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
