# Stage 2 in a container: PyTorch and Decant, for `--gpu`. The torch wheel carries its CUDA
# libraries, so no CUDA base image is needed; the host's driver comes in through the
# nvidia-container-toolkit.
#
# BASE needs Python 3.11 or later with venv. Where no package index is reachable, put all the wheels
# into build/wheels (`pip download -r requirements.txt -d build/wheels`): then nothing else is asked.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
COPY requirements.txt /opt/decant/
COPY build/wheels /opt/wheels
RUN python3 -m venv /opt/venv \
 && if ls /opt/wheels/*.whl >/dev/null 2>&1; then only=--no-index; fi \
 && /opt/venv/bin/pip install --no-cache-dir ${only:-} --find-links /opt/wheels \
        -r /opt/decant/requirements.txt \
 && rm -rf /opt/wheels
COPY __init__.py __main__.py models.yaml pipeline.py /opt/decant/decant/
COPY commands /opt/decant/decant/commands
COPY dumper /opt/decant/decant/dumper
COPY engines /opt/decant/decant/engines
COPY loader /opt/decant/decant/loader
COPY stages /opt/decant/decant/stages
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/opt/decant
WORKDIR /opt/decant
CMD ["python3", "-m", "decant", "--help"]
