# Stage 2 in a container: PyTorch and Decant, for `--gpu`. The torch wheel carries its CUDA
# libraries, so no CUDA base image is needed; the host's driver comes in through the
# nvidia-container-toolkit.
#
# BASE needs Python 3.11 or later with pip and venv. WHEELS is a folder of the build context:
# wheels put there (a CPU build of torch, say) are taken before any index is asked.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
COPY requirements.txt /opt/decant/
COPY build/wheels /opt/wheels
RUN python3 -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --find-links /opt/wheels -r /opt/decant/requirements.txt \
 && rm -rf /opt/wheels
COPY pyproject.toml README.md models.yaml pipeline.py hubconf.py /opt/decant/
COPY commands /opt/decant/commands
COPY dumper /opt/decant/dumper
COPY engines /opt/decant/engines
COPY loader /opt/decant/loader
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /opt/decant
CMD ["python3", "pipeline.py", "--help"]
