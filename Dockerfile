# The scanner, the desk and the library, without torch; compose.yaml starts both on a folder.
# Build: docker build -t wildlife-product-recognizer .
# Scan a folder, with nothing writable but the results:
#   mkdir -p out && docker run --rm --read-only --tmpfs /tmp --user "$(id -u):$(id -g)" \
#     -v "$PWD/photos:/photos:ro" -v "$PWD/out:/out" \
#     wildlife-product-recognizer scan /photos --output /out/scan.sqlite --policy default
FROM python:3.12-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY recognizer recognizer
COPY export export
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:3.12-slim
RUN --mount=type=bind,from=build,source=/wheel,target=/wheel \
    pip install --no-cache-dir "$(echo /wheel/*.whl)[cloud,desk,heif,parquet]" \
    && useradd --uid 10001 --home-dir /work recognizer \
    && install --directory --owner recognizer /work
USER 10001
WORKDIR /work
ENV PYTHONUNBUFFERED=1
ENTRYPOINT ["recognizer"]
CMD ["--help"]
