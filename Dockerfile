# Uses the same constraints and the same command as the Makefile.
# For a CPU:
#   docker build --build-arg TORCH_INDEX=<PyTorch's CPU wheel index> -t matinee .
# For an NVIDIA GPU (the ordinary wheel of torch includes CUDA; run with --gpus all):
#   docker build -t matinee .
FROM python:3.11-slim-bookworm AS build
ARG TORCH_INDEX=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
WORKDIR /src
RUN python -m venv /opt/matinee
COPY constraints.txt ./
RUN /opt/matinee/bin/pip install --constraint constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch
COPY pyproject.toml README.md LICENSE ./
COPY bot bot
COPY generation generation
COPY config config
RUN /opt/matinee/bin/pip install --constraint constraints.txt '.[metrics]'

FROM python:3.11-slim-bookworm
# gcc and libc6-dev: with `[engine] compile = true` the compiler of PyTorch needs a C compiler.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ffmpeg gcc libc6-dev tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --uid 10001 matinee \
    && install -d -o matinee /data /models
COPY --from=build /opt/matinee /opt/matinee
ENV PATH=/opt/matinee/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MATINEE_STUDIO_DATA=/data \
    HF_HOME=/models
USER matinee
WORKDIR /home/matinee
VOLUME ["/data", "/models"]
HEALTHCHECK --interval=30s --timeout=20s --start-period=120s --retries=2 CMD ["matinee", "health"]
ENTRYPOINT ["tini", "--", "matinee"]
CMD ["run"]
