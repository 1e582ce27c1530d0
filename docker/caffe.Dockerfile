# Stage 1: real Caffe 1.0 on Python 3.9, as Debian 11 packages it, and the dumper. CPU only: no
# packaged Caffe has CUDA any more, and dumping needs none.
#
# The base is pinned by digest; `make image BASE=...` takes another Debian 11. docs/container.md says
# what is left out, and why.
ARG BASE=debian:bullseye-slim@sha256:f576b8067b77ff85c70725c976b7b6cde960898e2f19b9abab3fb148407614e2

FROM ${BASE} AS installed
# Official images carry dated snapshot lines as comments in their sources list: packages that never
# change. A base without them (docker/base.sh) keeps its own sources.
COPY docker/sources.sh docker/closure.sh /build/
RUN sh /build/sources.sh \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        python3-caffe python3-h5py libopenblas0-pthread \
 && sh /build/closure.sh /closure

FROM ${BASE}
COPY docker/sources.sh /build/
RUN sh /build/sources.sh \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3 \
 && apt-get clean \
 && rm -rf /build /var/lib/apt/lists/* /var/log/* /var/cache/ldconfig/aux-cache
COPY --from=installed /closure /
RUN ldconfig
# installed, because `python3 -I` looks nowhere else
COPY dumper /usr/lib/python3/dist-packages/dumper
RUN python3 -m compileall -q /usr/lib/python3/dist-packages/dumper
CMD ["python3", "-I", "-m", "dumper", "--help"]
