# One image for every part: controller, speaker (ExaBGP below it), responder, FRR's bfdd.
#
#     docker build -t exabgp-metallb .
#
# The base is named by a dated tag, which Debian does not move. A digest pins it against the registry
# too, and is for whoever builds to take from the registry that they trust:
# `--build-arg BASE=debian@sha256:...`. A newer date is a newer base.
ARG BASE=debian:bookworm-20250520-slim

FROM ${BASE} AS build
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
      python3 python3-pip python3-venv \
 && rm -rf /var/lib/apt/lists/*
COPY etc/image/requirements.txt /src/
# The environment has no pip of its own: nothing in the image installs anything. kubernetes.aio is a
# second copy of the client, of 68 MB, that we do not use.
RUN python3 -m venv --without-pip /opt/exabgp-metallb \
 && python3 -m pip --python /opt/exabgp-metallb/bin/python install \
      --no-cache-dir --no-deps --requirement /src/requirements.txt \
 && rm -r /opt/exabgp-metallb/lib/python3.*/site-packages/kubernetes/aio
COPY setup.cfg pyproject.toml README.md LICENSE /src/
COPY exabgp_metallb /src/exabgp_metallb
# `pip check` ends the build when requirements.txt lacks something.
RUN python3 -m pip --python /opt/exabgp-metallb/bin/python install --no-cache-dir --no-deps /src \
 && python3 -m pip --python /opt/exabgp-metallb/bin/python check

FROM ${BASE}
# Of FRR only bfdd, and zebra, which tells it of interfaces: no second BGP speaker is in here.
# The account has a name, since ExaBGP asks for the name of the user that it runs as. FRR's groups
# have the numbers that manifests name; its package takes them as it finds them.
RUN groupadd --gid 10001 exabgp-metallb \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/exabgp-metallb \
      --shell /usr/sbin/nologin exabgp-metallb \
 && groupadd --system --gid 901 frrvty \
 && groupadd --system --gid 902 frr \
 && apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
      frr python3 \
 && find /usr/lib/frr -type f ! -name bfdd ! -name zebra -delete \
 && install -d -o 10001 -g 10001 -m 0750 \
      /var/lib/exabgp-metallb /run/exabgp-metallb /run/exabgp-metallb-bfd \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/* /usr/share/doc/* /usr/share/man/*
COPY --from=build /opt/exabgp-metallb /opt/exabgp-metallb
ENV PATH=/opt/exabgp-metallb/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    EXABGP_METALLB_STATE_DIR=/var/lib/exabgp-metallb
USER 10001:10001
ENTRYPOINT ["exabgp-metallb"]
