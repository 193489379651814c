"""Task statuses, translations, options of the site, and the list of licences."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datastore.accounts.actor import ANONYMOUS, Actor
from datastore.actions.registry import Call, run
from datastore.actions.services import Services
from datastore.catalog import licenses
from datastore.catalog.site.options import OPTIONS
from datastore.errors import NotAuthorized, NotFound, ValidationError
from datastore.settings import Settings
from tests.accounts.people import caller, person, site_with
from tests.catalog.samples import ActionCall, errors_of, unique


def task(**fields: Any) -> dict[str, Any]:
    return {"entity_id": str(uuid.uuid4()), "entity_type": "job", "task_type": "loader", "key": "loader", **fields}


async def test_a_task_status_and_its_life(call: ActionCall) -> None:
    sent = task(value='{"job_id": 1}', state="pending", error="{}", last_updated="2026-01-02T03:04:05")
    made = await call("task_status_update", **sent)
    assert made == {**sent, "id": made["id"]}
    keys = {field: sent[field] for field in ("entity_id", "task_type", "key")}
    assert await call("task_status_show", actor=ANONYMOUS, id=made["id"]) == made
    assert await call("task_status_show", actor=ANONYMOUS, **keys) == made
    again = await call("task_status_update", **{**sent, "state": "complete", "value": {"a": [1]}})
    assert again == {**made, "state": "complete", "value": '{"a":[1]}'}
    by_id = await call("task_status_update", **{**again, "key": "other"})
    assert by_id == {**again, "key": "other"}
    many = [task(), {**by_id, "state": "x"}, task()]
    results = (await call("task_status_update_many", data=many))["results"]
    assert [result["entity_id"] for result in results] == [item["entity_id"] for item in many]
    assert results[1] == {**by_id, "state": "x"}
    assert results[0]["last_updated"] is not None
    assert await call("task_status_delete", id=made["id"]) is None
    for action in ("task_status_show", "task_status_delete"):
        with pytest.raises(NotFound):
            await call(action, id=made["id"])


async def test_bad_task_statuses(call: ActionCall, services: Services) -> None:
    missing = ["Missing value"]
    required = ("entity_id", "entity_type", "task_type", "key")
    assert await errors_of(call("task_status_update")) == dict.fromkeys(required, missing)
    assert await errors_of(call("task_status_show", key="x")) == {"entity_id": missing, "task_type": missing}
    good = task()
    bad = {"data": [{}, {"last_updated": ["Date format incorrect"]}, {"key": missing}]}
    wrong = [good, task(last_updated="x"), task(key="")]
    assert await errors_of(call("task_status_update_many", data=wrong)) == bad
    with pytest.raises(NotFound):
        await call("task_status_show", **{field: good[field] for field in ("entity_id", "task_type", "key")})
    assert await errors_of(call("task_status_update", **task(key="x" * 201))) == {
        "key": ["Must be a maximum of 200 characters long"]
    }
    with pytest.raises(NotFound):
        await call("task_status_update", id=str(uuid.uuid4()), **good)
    first, second = [await call("task_status_update", **task()) for _ in range(2)]
    assert list(await errors_of(call("task_status_update", **{**first, "id": second["id"]}))) == ["key"]
    assert list(await errors_of(call("task_status_update_many", data=[first, {**first, "key": "y"}]))) == ["id"]
    twice = await call("task_status_update_many", data=[{**good, "state": "a"}, {**good, "state": "b"}])
    assert [result["state"] for result in twice["results"]] == ["b", "b"]
    for actor in (ANONYMOUS, await person(services)):
        for action, parameters in (
            ("task_status_update", good),
            ("task_status_update_many", {"data": [good]}),
            ("task_status_delete", {"id": first["id"]}),
        ):
            with pytest.raises(NotAuthorized):
                await call(action, actor=actor, **parameters)


async def test_the_task_of_a_private_resource_is_private(
    call: ActionCall, services: Services, organization: str, dataset: str, resource: str
) -> None:
    member = await person(services, {organization: "member"})
    statuses = [
        await call("task_status_update", **task(entity_id=resource, entity_type="resource")),
        await call("task_status_update", **task(entity_id=dataset, entity_type="package")),
    ]
    await call("package_patch", id=dataset, private=True)
    for status in statuses:
        assert await call("task_status_show", actor=member, id=status["id"]) == status
        with pytest.raises(NotAuthorized):
            await call("task_status_show", actor=ANONYMOUS, id=status["id"])
    later = await call("task_status_update", **task(entity_id=resource, entity_type="resource", key="later"))
    assert await call("resource_status_show", actor=member, id=resource) == [later, statuses[0]]
    with pytest.raises(NotAuthorized):
        await call("resource_status_show", actor=ANONYMOUS, id=resource)
    await call("resource_delete", id=resource)
    with pytest.raises(NotAuthorized):
        await call("task_status_show", actor=member, id=statuses[0]["id"])
    with pytest.raises(NotFound):
        await call("resource_status_show", id=resource)
    await call("dataset_purge", id=dataset)
    for status in statuses:
        with pytest.raises(NotFound):
            await call("task_status_show", id=status["id"])


async def test_one_task_by_many_at_once(call: ActionCall) -> None:
    sent = task()
    results = await asyncio.gather(*(call("task_status_update", **sent, state=str(n)) for n in range(6)))
    assert len({result["id"] for result in results}) == 1


async def test_translations(call: ActionCall, services: Services) -> None:
    term, long = unique("water, "), unique("x" * 5000)
    entry = {"term": term, "term_translation": "Wasser", "lang_code": "de"}
    assert await call("term_translation_update", **entry) == entry
    more = [
        {"term": term, "term_translation": "eau", "lang_code": "fr"},
        {"term": long, "term_translation": "lang", "lang_code": "de"},
        {"term": term, "term_translation": "Gewässer", "lang_code": "de"},
    ]
    assert await call("term_translation_update_many", data=more) == {"success": "3 rows updated"}
    assert await call("term_translation_show", actor=ANONYMOUS, terms=term) == [more[2], more[0]]
    assert await call("term_translation_show", terms=[term, long], lang_codes="de") == [more[2], more[1]]
    assert await call("term_translation_show", terms=[unique()]) == []
    missing = ["Missing value"]
    assert await errors_of(call("term_translation_show")) == {"terms": missing}
    assert await errors_of(call("term_translation_show", terms=[5])) == {"terms": ["Must be a text or a list of texts"]}
    assert await errors_of(call("term_translation_update", term="x")) == {
        "term_translation": missing,
        "lang_code": missing,
    }
    assert await errors_of(call("term_translation_update_many")) == {"data": missing}
    assert await errors_of(call("task_status_update_many", data="")) == {"data": missing}
    assert await errors_of(call("term_translation_update_many", data=[entry, {**entry, "lang_code": ""}])) == {
        "data": [{}, {"lang_code": missing}]
    }
    assert await call("term_translation_show", terms=term, lang_codes=["de"]) == [more[2]]
    for actor in (ANONYMOUS, await person(services)):
        for action, parameters in (("term_translation_update", entry), ("term_translation_update_many", {"data": []})):
            with pytest.raises(NotAuthorized):
                await call(action, actor=actor, **parameters)


async def test_what_the_site_is(call: ActionCall, services: Services) -> None:
    shown = await call("status_show", actor=ANONYMOUS)
    assert {"activity", "datastore", "datatables_view", "expire_api_token"} <= set(shown["extensions"])
    assert shown["ckan_version"] == "2.11.0"
    discreet = site_with(services, hide_version=True)
    assert not {"ckan_version", "datastore_version"} & (await caller(discreet, ANONYMOUS)("status_show")).keys()
    sysadmin = Actor(id="x", name="x", sysadmin=True)
    assert (await caller(discreet, sysadmin)("status_show"))["ckan_version"] == "2.11.0"


async def test_options_hold_for_all_workers(
    call: ActionCall, services: Services, settings: Settings, database_url: str
) -> None:
    other = await Services.open(database_url, settings)

    async def title_there() -> str:
        result: dict[str, str] = await run("status_show", Call(other, ANONYMOUS, "http://test"), {})
        return result["site_title"]

    try:
        assert await title_there() == settings.site_title
        assert await call("config_option_list") == list(OPTIONS)
        changes = {"ckan.site_title": "Our <b>portal</b>", "ckan.site_about": None}
        stored = await call("config_option_update", **changes)
        assert stored == {"ckan.site_title": "Our <b>portal</b>", "ckan.site_about": ""}
        assert await call("config_option_show", key="ckan.site_title") == "Our <b>portal</b>"
        assert (await call("status_show"))["site_title"] == "Our <b>portal</b>"
        while await title_there() != "Our <b>portal</b>":  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the news is on its way
        bad = {"ckan.site_title": [1], "ckan.secret": "x"}
        assert await errors_of(call("config_option_update", **bad)) == {
            "ckan.site_title": ["Must be a text value"],
            "ckan.secret": ["Configuration option 'ckan.secret' can not be updated"],
        }
        unknown = {"key": ["Configuration option 'secret_key' can not be shown"]}
        assert await errors_of(call("config_option_show", key="secret_key")) == unknown
        for actor in (ANONYMOUS, await person(services)):
            for action, parameters in (
                ("config_option_update", {"ckan.theme": "x"}),
                ("config_option_show", {"key": "ckan.theme"}),
                ("config_option_list", {}),
            ):
                with pytest.raises(NotAuthorized):
                    await call(action, actor=actor, **parameters)
    finally:
        await call("config_option_update", **{"ckan.site_title": settings.site_title})
        await other.close()


LIST = [
    {"id": "ours", "title": "Our licence", "url": "http://example.org", "od_conformance": "approved", "x": 1},
    {"id": "old", "is_okd_compliant": True, "domain_data": True, "is_generic": "true", "status": None},
]


@pytest.fixture
def built_in() -> Iterator[None]:
    before = list(licenses.LICENSES.values())
    yield
    licenses.use(before)


@pytest.mark.usefixtures("built_in")
async def test_licences_of_a_file(
    call: ActionCall, organization: str, database_url: str, settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "licences.json"
    file.write_text(json.dumps(LIST))
    opened = await Services.open(database_url, settings.model_copy(update={"licenses_group_url": str(file)}))
    await opened.close()
    found = await call("license_list")
    assert [(item["id"], item["title"], item["od_conformance"], item["domain_data"]) for item in found] == [
        ("ours", "Our licence", "approved", "False"),
        ("old", "old", "approved", "True"),
    ]
    assert (found[1]["is_generic"], found[1]["status"]) == ("True", "active")
    shown = await call("package_create", name=unique(), owner_org=organization, license_id="ours")
    assert (shown["license_title"], shown["isopen"], shown["license_url"]) == (
        "Our licence",
        True,
        "http://example.org",
    )
    unknown = await call("package_patch", id=shown["id"], license_id="cc-by")
    assert (unknown["license_title"], unknown["isopen"]) == ("cc-by", False)


def test_licences_as_an_object_by_address(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text(json.dumps({"a": {}}))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *_args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert [item.title for item in licenses.load(f"{address}/list.json")] == ["a"]
        with pytest.raises(licenses.LicensesError, match="404"):
            licenses.load(f"{address}/nothing.json")
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("content", ["", "{", "5", '["a"]', '[{"title": "no id"}]', "\ufffd"])
def test_bad_lists_of_licences(content: str, tmp_path: Path) -> None:
    file = tmp_path / "licences.json"
    file.write_text(content)
    with pytest.raises(licenses.LicensesError):
        licenses.load(str(file))
    with pytest.raises(licenses.LicensesError, match="cannot be read"):
        licenses.load(str(tmp_path / "none.json"))


def test_every_option_has_a_text(settings: Settings) -> None:
    assert {type(default(settings)) for default in OPTIONS.values()} == {str}


async def test_a_refused_list_leaves_everything_as_it_was(call: ActionCall) -> None:
    term = unique()
    good = {"term": term, "term_translation": "x", "lang_code": "de"}
    with pytest.raises(ValidationError):
        await call("term_translation_update_many", data=[good, {}])
    assert await call("term_translation_show", terms=term) == []
