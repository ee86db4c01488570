# tsunicorn as PID 1: `FROM tsunicorn` and put the app into /app (examples/docker/).
#   docker build -t tsunicorn .
#   docker build -t tsunicorn:distroless --target distroless .      no shell, no package manager
ARG NODE_VERSION=26

FROM node:${NODE_VERSION}-bookworm AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
# `install` keeps to the lock file like `ci`, but does not need entries for other platforms' optional packages.
# Without scripts: the only one, of the development dependency `node`, would download Node.js again.
RUN npm install --no-save --ignore-scripts --no-audit --no-fund
COPY tsconfig.json ./
COPY scripts scripts
COPY src src
RUN npm run build
# Only what serves: no type declarations, source maps, tests or documents.
RUN npm install --no-save --omit=dev --ignore-scripts --no-audit --no-fund \
 && mkdir -p /opt/tsunicorn \
 && cp -R package.json dist node_modules /opt/tsunicorn/ \
 && cd /opt/tsunicorn \
 && find . -type f \( -name '*.ts' -o -name '*.map' -o -name '*.md' -o -name '*.yml' -o -name '.*' \) -delete \
 && find node_modules -type d \( -name test -o -name tests -o -name docs -o -name examples -o -name benchmarks -o -name .bin \) \
      -prune -exec rm -rf '{}' + \
 && chmod -R a+rX,go-w .

FROM node:${NODE_VERSION}-bookworm-slim AS runtime
COPY --from=build /opt/tsunicorn /opt/tsunicorn
# The socket directory is for volumes: a new named volume takes over its owner and mode.
RUN ln -s /opt/tsunicorn/dist/main.js /usr/local/bin/tsunicorn \
 && install -d -o 10001 -g 10001 -m 0770 /run/tsunicorn \
 && install -d -m 0755 /app \
 && install -d -o 10001 -g 10001 -m 0755 /var/cache/tsunicorn

# The files of the image without a shell: Node.js, its shared libraries, and tsunicorn.
FROM runtime AS files
RUN mkdir -p /files/etc /files/tmp && chmod 1777 /files/tmp \
 && printf 'root:x:0:0::/:/\ntsunicorn:x:10001:10001::/app:/\n' > /files/etc/passwd \
 && printf 'root:x:0:\ntsunicorn:x:10001:\n' > /files/etc/group \
 && cp -a --parents /usr/local/bin/node /usr/local/bin/tsunicorn /opt/tsunicorn /app /run/tsunicorn \
      /var/cache/tsunicorn /files/ \
 && cp -L --parents $(ldd /usr/local/bin/node | grep -o '/[^ ]*') /files/

FROM scratch AS distroless
LABEL org.opencontainers.image.title="tsunicorn" \
      org.opencontainers.image.description="Pre-forked Node.js workers, sized from the cgroup, drained on SIGTERM; without a shell" \
      org.opencontainers.image.licenses="MIT"
COPY --from=files /files /
ENV NODE_ENV=production NODE_COMPILE_CACHE=/var/cache/tsunicorn PATH=/usr/local/bin
WORKDIR /app
USER 10001:10001
RUN ["node", "/opt/tsunicorn/dist/main.js", "version"]
RUN ["node", "/opt/tsunicorn/dist/main.js", "check"]
EXPOSE 8000 10464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s \
  CMD ["node", "/opt/tsunicorn/dist/main.js", "healthcheck"]
ENTRYPOINT ["node", "--disable-sigusr1", "/opt/tsunicorn/dist/main.js"]

FROM runtime
ARG NODE_VERSION
LABEL org.opencontainers.image.title="tsunicorn" \
      org.opencontainers.image.description="Pre-forked Node.js workers, sized from the cgroup, drained on SIGTERM" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="docker.io/library/node:${NODE_VERSION}-bookworm-slim"
# `tsunicorn check` fills the cache when an image is built; boots then cost 12 % less CPU (docs/docker.md).
ENV NODE_ENV=production NODE_COMPILE_CACHE=/var/cache/tsunicorn
WORKDIR /app
# By number: Kubernetes' runAsNonRoot cannot check a name. Any other number works too.
USER 10001:10001
# Smoke test: an image that cannot start is not built.
RUN tsunicorn version && tsunicorn config >/dev/null && tsunicorn check
EXPOSE 8000 10464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s \
  CMD ["node", "/opt/tsunicorn/dist/main.js", "healthcheck"]
ENTRYPOINT ["node", "--disable-sigusr1", "/opt/tsunicorn/dist/main.js"]
