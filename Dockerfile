# One image for the four services and for the one-shot jobs: python -m services.<name>.app, or handover <command>.
# Behind a mirror, give pip its usual variables: docker compose build --build-arg PIP_INDEX_URL=...

FROM python:3.13-slim AS build
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
COPY deploy/requirements.lock /tmp/requirements.lock
# --only-binary: nothing is compiled here; --without-pip: nothing can be installed later
RUN python3 -m venv --without-pip /opt/handover \
 && python3 -m pip --python /opt/handover/bin/python install --no-cache-dir --disable-pip-version-check --quiet \
    --root-user-action=ignore --only-binary :all: --require-hashes -r /tmp/requirements.lock \
 && find /opt/handover -depth -type d \( -name tests -o -name test \) -path '*/site-packages/*' -exec rm -rf {} +
COPY services /srv/services
COPY shared /srv/shared
COPY deploy /srv/deploy
RUN printf '#!/opt/handover/bin/python\nfrom deploy.__main__ import main\n\nmain()\n' > /opt/handover/bin/handover \
 && chmod 755 /opt/handover/bin/handover \
 && /opt/handover/bin/python -m compileall -q /srv

FROM python:3.13-slim
# Which version this is, as metrics and `handover --version` say it: docker build --build-arg HANDOVER_VERSION=$(git describe --always)
ARG HANDOVER_VERSION=unknown
# What a service writes (the file channel of notify) goes to this folder: mount a volume there.
RUN install -d -o 10001 -g 10001 /var/lib/handover
COPY --from=build /opt/handover /opt/handover
COPY --from=build /srv /srv
ENV HANDOVER_VERSION=$HANDOVER_VERSION PATH=/opt/handover/bin:$PATH PYTHONPATH=/srv PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HANDOVER_HTTP_HOST=0.0.0.0 HANDOVER_HTTP_PORT=8000 HANDOVER_MESSAGES_DIR=/var/lib/handover/messages
WORKDIR /srv
USER 10001:10001
EXPOSE 8000
CMD ["handover", "--help"]
