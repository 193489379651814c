# The service in one image. Alone it runs its own PostgreSQL in the data volume; with DATABASE_URL it uses yours:
#   docker build -t datastore .
#   docker run -p 127.0.0.1:8080:8080 -v datastore:/var/lib/datastore datastore

FROM python:3.12-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv /opt/datastore

# The dependencies first: this layer is built again only when one of these two files changes.
COPY pyproject.toml constraints.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; print(*p['dependencies'], *p['optional-dependencies']['demo'], sep='\n')" >requirements.txt \
    && /opt/datastore/bin/pip install --constraint constraints.txt --requirement requirements.txt

COPY . .
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/datastore/bin/pip wheel --no-deps --wheel-dir dist . \
    && /opt/datastore/bin/pip install --no-deps dist/*.whl


FROM python:3.12-slim
RUN useradd --system --user-group --uid 10001 --create-home --home-dir /var/lib/datastore datastore
COPY --from=build /opt/datastore /opt/datastore
ENV PATH=/opt/datastore/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DATASTORE_DATA_DIR=/var/lib/datastore
USER datastore
WORKDIR /var/lib/datastore
VOLUME /var/lib/datastore
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=2m --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/readyz', timeout=4)"]
CMD ["datastore", "serve", "--host", "0.0.0.0"]
