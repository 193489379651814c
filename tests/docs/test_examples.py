"""README.md and docs/ stay true: their examples run against the demo, their links lead somewhere, no action is missing.

The whole demo is loaded, since the documents show its true numbers; once, hence one test for all pages.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from datastore import demo
from datastore.accounts.actor import Actor
from datastore.accounts.tokens import ensure_sysadmin
from datastore.actions import registry
from datastore.actions.registry import Call, run
from datastore.actions.services import Services
from datastore.app import create_app
from datastore.postgres.migrate import migrate
from datastore.postgres.roles import ensure_roles
from datastore.settings import Settings
from tests.conftest import ADMIN_TOKEN
from tests.docs.examples import (
    Example,
    Request,
    assignments,
    counted_filters,
    differences,
    examples,
    requests,
    shown_json,
    text_differences,
)

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "http://127.0.0.1:8080"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_TOKEN = re.compile(r"(?:\.venv/bin/)?datastore token create (?P<user>\w+)(?: --.*)?")
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\((?P<target>[^)\s]+)\)")


@pytest.fixture
async def store(server_url: str, settings: Settings) -> AsyncIterator[Services]:
    """A store as ``datastore serve`` leaves it at its first start: the user ``admin``, and the demo."""
    name = f"docs_{uuid.uuid4().hex[:12]}"
    server = await asyncpg.connect(server_url)
    await server.execute(f'CREATE DATABASE "{name}"')
    address = urlsplit(server_url)._replace(path=f"/{name}").geturl()
    connection = await asyncpg.connect(address)
    await ensure_roles(connection, settings)
    await migrate(connection, settings)
    await connection.close()
    services = await Services.open(address, settings)
    await services.database.write(lambda tx: ensure_sysadmin(tx, "admin", ADMIN_TOKEN))
    await demo.load(services, address, lambda *_step: None)
    yield services
    await services.close()
    await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await server.close()


class Reader:
    """Types the examples of a page, one after the other."""

    def __init__(self, services: Services, client: httpx.AsyncClient) -> None:
        self._services = services
        self._client = client
        self._variables: dict[str, str] = {}
        self._files: dict[str, bytes] = {}

    async def problems(self, example: Example) -> list[str]:
        """What is not as the page says; empty if all is well."""
        try:
            for name, value, command in assignments(example.commands):
                self._variables[name] = value if value is not None else await self._output(command or "")
            sent = list(requests(example.commands, self._variables))
        except (KeyError, ValueError) as error:
            return [f"cannot be read: {error!r}"]
        found = []
        for number, request in enumerate(sent, 1):
            shown = example.shown if number == len(sent) else None
            found += await self._compared(request, shown, example.language)
        return found

    async def _output(self, command: str) -> str:
        match = _TOKEN.fullmatch(command)
        if match is None:
            raise ValueError(f"a command that the tests do not know: {command}")
        if match["user"] == "admin":
            return ADMIN_TOKEN
        call = Call(self._services, Actor(name="default", sysadmin=True), ADDRESS)
        created = await run("api_token_create", call, {"user": match["user"], "name": "documents"})
        return str(created["token"])

    async def _compared(self, request: Request, shown: str | None, language: str) -> list[str]:
        if not request.url.startswith(ADDRESS):
            return [f"not the address of the other examples: {request.url}"]
        if request.file and request.file not in self._files:
            return [f"no example has made the file {request.file}"]
        content = "&".join(request.data).encode() or self._files.get(request.file)
        response = await self._client.request(request.method, request.url, headers=request.headers, content=content)
        wanted = None if shown is None or language != "json" else shown_json(shown)
        refused = isinstance(wanted, str) or (isinstance(wanted, dict) and wanted.get("success") is False)
        if response.is_success is refused:
            return [f"{request.url}: HTTP {response.status_code}, {response.text[:1000]}"]
        if request.saved:
            self._files[request.saved] = response.content
        if shown is None or request.saved:
            return []
        if wanted is not None:
            return differences(wanted, response.json())
        return text_differences(shown, request.output(response.text))


async def test_every_example_does_what_it_says(store: Services, settings: Settings) -> None:
    transport = httpx.ASGITransport(create_app(settings, store), raise_app_exceptions=False)
    failures, run_on, counted = [], set(), 0
    async with httpx.AsyncClient(transport=transport, timeout=60) as client:
        for page in PAGES:
            reader = Reader(store, client)
            for example in examples(page):
                run_on.add(page.name)
                place = f"{page.relative_to(ROOT)}:{example.line}"
                failures += [f"{place}: {problem}" for problem in await reader.problems(example)]
            for line, filters, rows in counted_filters(page):
                counted += 1
                query = {"resource_id": "flights", "filters": filters, "limit": "0"}
                response = await client.get(f"{ADDRESS}/api/3/action/datastore_search", params=query)
                if not response.is_success or response.json()["result"]["total"] != rows:
                    failures.append(f"{page.relative_to(ROOT)}:{line}: {filters}: {response.text[-300:]}")
    assert not failures, "\n".join(failures)
    assert run_on >= {
        "README.md",
        "quickstart.md",
        "api.md",
        "catalog.md",
        "people.md",
        "loading.md",
        "search.md",
        "fulltext.md",
        "operating.md",
    }
    assert counted


def test_every_action_is_documented_once() -> None:
    pages = [(ROOT / "docs" / name).read_text() for name in ("api.md", "catalog.md", "people.md", "search.md")]
    documented = [name for page in pages for name in re.findall(r"^### (\w+)$", page, re.MULTILINE)]

    assert sorted(documented) == registry.names()


@pytest.mark.parametrize(
    "page",
    [*PAGES, *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"))],
    ids=lambda page: page.name,
)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.finditer(page.read_text()):
        target, _, anchor = link["target"].partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = page.parent / target if target else page
        if not file.exists() or (anchor and anchor not in _anchors(file)):
            broken.append(link["target"])
    assert not broken


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as forges make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
