"""The index follows every write, in its transaction; concurrent ones, too."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from datastore.actions.services import Services
from datastore.catalog import licenses
from datastore.catalog.search.index import index_datasets, keep_licenses, reindex
from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from tests.catalog.samples import ActionCall, errors_of, unique
from tests.catalog.search.world import World


@pytest.fixture
async def world(call: ActionCall) -> World:
    return await World.make(call)


async def test_what_was_written_is_found(world: World) -> None:
    dataset = await world.add("First title", tags=[{"name": "one"}], extras=[{"key": "k", "value": "v"}])
    id = dataset["id"]
    patches: list[tuple[dict[str, Any], str, str]] = [
        ({"title": "Second title"}, "title:first", "title:second"),
        ({"notes": "Some words"}, "-notes:*", "notes:words"),
        ({"tags": [{"name": "two"}]}, "tags:one", "tags:two"),
        ({"extras": [{"key": "k", "value": "w"}]}, "k:v", "k:w"),
        ({"license_id": "cc-by"}, "-license_id:*", "isopen:true"),
        ({"resources": [{"url": "http://example.org/a.csv"}]}, "-res_format:*", "res_format:CSV"),
        ({"resources": []}, "res_format:CSV", "num_resources:0"),
        ({"private": True}, "capacity:public", "capacity:private"),
    ]
    for fields, before, after in patches:
        everything = {"include_private": True}
        assert await world.titles(before, **everything) != [], before
        assert await world.titles(after, **everything) == [], after
        await world.call("package_patch", id=id, **fields)
        assert await world.titles(before, **everything) == [], before
        assert await world.titles(after, **everything) == ["Second title"], after


async def test_resources_by_themselves(world: World) -> None:
    dataset = await world.add("With resources")
    created = await world.call("resource_create", package_id=dataset["id"], url="http://example.org/x", name="Depths")
    assert await world.titles("res_name:depths") == ["With resources"]
    await world.call("resource_patch", id=created["id"], name="Heights")
    assert await world.titles("res_name:depths") == []
    assert await world.titles("heights") == ["With resources"]
    await world.call("resource_delete", id=created["id"])
    assert await world.titles("heights") == []
    assert await world.titles("num_resources:0") == ["With resources"]


async def test_columns_of_tables(world: World) -> None:
    dataset = await world.add("With a table")
    fields = [{"id": "waterTemp", "type": "float8", "info": {"label": "Température de l'eau"}}]
    table = await world.call("datastore_create", resource={"package_id": dataset["id"]}, fields=fields)
    id = table["resource_id"]
    for query in ("waterTemp", "watertemp", "columns:temp", "temperature", 'columns:"de l eau"', "columns:watertemp"):
        assert await world.titles(query) == ["With a table"], query
    assert await world.titles("title:temperature") == []
    more = [{"id": "Station", "type": "text", "info": {"title": "Messstelle"}}]
    await world.call("datastore_create", resource_id=id, fields=[*fields, *more])
    assert await world.titles("station") == ["With a table"]
    assert await world.titles("messstelle") == ["With a table"]
    await world.call("datastore_create", resource_id=id, fields=[{"id": "waterTemp", "info": {"label": "Heat"}}])
    assert await world.titles("temperature") == []
    assert await world.titles("columns:heat") == ["With a table"]
    await world.call("datastore_create", resource_id=id, fields=more, delete_fields=True)
    assert await world.titles("watertemp") == []
    await world.call("datastore_delete", resource_id=id)
    assert await world.titles("columns:*") == []


async def test_records_are_not_indexed_again(world: World, services: Services) -> None:
    dataset = await world.add("Rows come and go")
    table = await world.call(
        "datastore_create", resource={"package_id": dataset["id"]}, fields=[{"id": "a", "type": "int"}]
    )
    version = "SELECT xmin::text FROM datastore.dataset_search WHERE dataset_id = $1"
    before = await services.database.owner.fetchval(version, dataset["id"])
    await world.call("datastore_upsert", resource_id=table["resource_id"], method="insert", records=[{"a": 1}])
    await world.call("datastore_delete", resource_id=table["resource_id"], filters={})
    assert await services.database.owner.fetchval(version, dataset["id"]) == before


async def test_titles_of_organizations_and_groups(world: World, services: Services) -> None:
    await world.add("Owned")
    organization = world.organization["id"]

    async def rename(tx: Transaction) -> None:
        await tx.connection.execute("UPDATE datastore.groups SET title = 'Hydrographers' WHERE id = $1", organization)

    assert await world.titles("hydrographers") == []
    await services.database.write(rename)
    assert await world.titles("hydrographers") == ["Owned"]
    assert await world.titles("organization_title:Hydrographers") == ["Owned"]
    found = await world.search(facet_field=["organization"])
    assert found["search_facets"]["organization"]["items"][0]["display_name"] == "Hydrographers"


async def test_membership_in_groups(world: World, services: Services) -> None:
    dataset = await world.add("Collected")
    name = unique("group")

    async def group(tx: Transaction) -> str:
        id = str(uuid.uuid4())
        await tx.connection.execute(
            "INSERT INTO datastore.groups (id, name, title, type, is_organization, created)"
            " VALUES ($1, $2, 'Collection of lakes', 'group', false, now())",
            id,
            name,
        )
        await tx.connection.execute(
            "INSERT INTO datastore.members (id, group_id, table_name, table_id, capacity)"
            " VALUES ($1, $2, 'package', $3, 'public')",
            str(uuid.uuid4()),
            id,
            dataset["id"],
        )
        return id

    id = await services.database.write(group)
    assert await world.titles(f"groups:{name}") == ["Collected"]
    assert await world.titles("lakes") == ["Collected"]
    assert (await world.search(facet_field=["groups"]))["facets"] == {"groups": {name: 1}}
    await services.database.write(
        lambda tx: tx.connection.execute("DELETE FROM datastore.members WHERE group_id = $1", id)
    )
    assert await world.titles(f"groups:{name}") == []


async def test_a_vocabulary(world: World, services: Services) -> None:
    dataset = await world.add("With a topic")
    vocabulary, tag, name = str(uuid.uuid4()), str(uuid.uuid4()), unique("Topics")

    async def attach(tx: Transaction) -> None:
        await tx.connection.execute("INSERT INTO datastore.vocabularies (id, name) VALUES ($1, $2)", vocabulary, name)
        await tx.connection.execute(
            "INSERT INTO datastore.tags (id, name, vocabulary_id) VALUES ($1, 'education', $2)", tag, vocabulary
        )
        await tx.connection.execute("INSERT INTO datastore.dataset_tags VALUES ($1, $2)", dataset["id"], tag)

    await services.database.write(attach)
    assert await world.titles(f"vocab_{name}:education") == ["With a topic"]
    assert await world.titles("tags:education") == []
    assert (await world.search(facet_field=[f"vocab_{name}"]))["facets"] == {f"vocab_{name}": {"education": 1}}
    assert await world.call("tag_list", vocabulary_id=name) == ["education"]
    assert (await world.call("tag_show", id="education", vocabulary_id=name))["vocabulary_id"] == vocabulary
    assert await world.call("tag_autocomplete", q="educ", vocabulary_id=vocabulary) == ["education"]


async def test_a_purged_dataset_is_gone(world: World, services: Services) -> None:
    dataset = await world.add("Purged", tags=[{"name": "tt"}])

    async def purge(tx: Transaction) -> None:
        await tx.connection.execute("DELETE FROM datastore.dataset_tags WHERE dataset_id = $1", dataset["id"])
        await tx.connection.execute("DELETE FROM datastore.datasets WHERE id = $1", dataset["id"])

    await services.database.write(purge)
    assert await world.titles(include_deleted=True) == []


async def test_what_fails_leaves_the_index(world: World, services: Services) -> None:
    dataset = await world.add("Unchanged")
    await errors_of(world.call("package_patch", id=dataset["id"], title="Changed", name="NO"))
    with pytest.raises(ValidationError):
        await world.call("package_patch", id=dataset["id"], title="Changed", resources=[{"url": "a", "size": "x"}])
    assert await world.titles("title:*") == ["Unchanged"]
    pending = "SELECT count(*) FROM datastore.search_pending WHERE dataset_id = $1"
    assert await services.database.owner.fetchval(pending, dataset["id"]) == 0


async def test_two_writers_of_what_one_dataset_shows(world: World, services: Services) -> None:
    """The title of the organization and the dataset change at once: the index ends with both, whoever comes first."""
    dataset = await world.add("Start")
    organization = world.organization["id"]
    for round in range(8):

        async def rename(tx: Transaction, title: str = f"Office{round}x") -> None:
            await tx.connection.execute("UPDATE datastore.groups SET title = $2 WHERE id = $1", organization, title)

        await asyncio.gather(
            services.database.write(rename),
            world.call("package_patch", id=dataset["id"], title=f"Title{round}x"),
            world.call("resource_create", package_id=dataset["id"], name=f"Resource{round}x"),
        )
        found = await world.titles(
            f"title:Title{round}x AND organization_title:Office{round}x AND res_name:Resource{round}x"
        )
        assert found == [f"Title{round}x"]


async def test_many_writers(world: World) -> None:
    await asyncio.gather(*(world.add(f"Parallel {number}", tags=[{"name": f"p{number % 3}"}]) for number in range(20)))
    assert len(await world.titles("parallel")) == 20
    assert (await world.search(facet_field=["tags"]))["facets"]["tags"] == {"p0": 7, "p1": 7, "p2": 6}


async def test_a_stem_shorter_than_what_was_typed(world: World) -> None:
    await world.add("Historic buildings")
    for query in ("histor*", "histori*", "historic*", "title:histori*", "building*", "buil*"):
        assert await world.titles(query) == ["Historic buildings"], query
    assert await world.titles("historia*") == []


async def test_huge_datasets(world: World) -> None:
    """More words than a search vector holds: the dataset is found by some of them, and nothing fails."""
    words = " ".join(f"wört{number}{chr(0x4E00 + number % 20000)}" for number in range(60_000))
    await world.add("Huge words", notes=words)
    tags = [{"name": f"{chr(0x10000 + number % 1000)}{'ß' * 90}{number}"} for number in range(6000)]
    await world.add("Huge lists", tags=[tag for tag in tags if tag["name"][0].isalpha()])
    await world.add(
        "Huge extras", extras=[{"key": f"k{number}", "value": f"{number}é" * 300} for number in range(2000)]
    )
    await world.add("Long value", extras=[{"key": "long", "value": "x" * 5000}])
    assert await world.titles("huge") == ["Huge extras", "Huge lists", "Huge words"]
    assert await world.titles("wört") == ["Huge words"]
    assert await world.titles(f"long:{'x' * 5000}") == ["Long value"]
    assert await world.titles(f"long:{'x' * 4999}") == []
    assert await world.titles("long:xxx*") == ["Long value"]


async def test_odd_characters(world: World) -> None:
    odd = "it's a \\ back'slash & | ! : * <b>tags</b> 'quoted' \\' \t\n€ 😀 ﷽"
    await world.add("Odd", notes=odd, extras=[{"key": "odd", "value": odd}, {"key": "a:b=c?'", "value": "x"}])
    assert await world.titles("backslash OR back") == []
    assert await world.titles("quoted") == ["Odd"]
    phrase = odd.replace("\\", "\\\\").replace('"', '\\"')
    assert await world.titles(f'odd:"{phrase}"') == ["Odd"]
    assert await world.titles("abc:x") == ["Odd"]


async def test_reindex(world: World, services: Services) -> None:
    dataset = await world.add("Lost and found")

    async def lose(tx: Transaction) -> None:
        await tx.connection.execute("DELETE FROM datastore.dataset_search WHERE dataset_id = $1", dataset["id"])

    await services.database.write(lose)
    assert await world.titles() == []
    await services.database.write(lambda tx: index_datasets(tx, [dataset["id"]]))
    assert await world.titles() == ["Lost and found"]
    await services.database.write(lose)
    done: list[int] = []
    count = await reindex(services.database, done.append)
    assert done[-1] == count >= 1
    assert await world.titles("lost") == ["Lost and found"]


async def test_titles_of_licences(world: World, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    id = unique("licence")
    await world.add("Licensed", license_id=id)
    known = {**licenses.LICENSES, id: licenses.License(id, "Zanzibar Public", od_conformance="approved")}
    monkeypatch.setattr(licenses, "LICENSES", known)
    await keep_licenses(services.database)
    assert await world.titles("zanzibar") == ["Licensed"]
    assert await world.titles("isopen:true") == ["Licensed"]


async def test_a_licence_that_is_one_no_longer(
    world: World, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = unique("licence")
    await world.add("Licensed", license_id=id)
    with monkeypatch.context() as listed:
        known = {**licenses.LICENSES, id: licenses.License(id, "Zanzibar Public", od_conformance="approved")}
        listed.setattr(licenses, "LICENSES", known)
        await keep_licenses(services.database)
        assert await world.titles("zanzibar") == ["Licensed"]
    await keep_licenses(services.database)
    assert await world.titles("zanzibar") == []
    assert await world.titles("isopen:true") == []
    assert await world.titles(f'license:"{id}"') == ["Licensed"]


async def test_relationships_are_found_by_the_names_of_public_datasets(world: World) -> None:
    first = await world.add("First", name=(name := unique("first")), extras=[{"key": "links_to", "value": "elsewhere"}])
    second = await world.add("Second", name=(other := unique("second")))
    relationship = {"subject": first["id"], "object": second["id"], "type": "child_of"}
    await world.call("package_relationship_create", **relationship)
    assert await world.titles(f"child_of:{other}") == ["First"]
    assert await world.titles(f"parent_of:{name}") == ["Second"]
    assert await world.titles(f"parent_of:{other}") == []
    assert await world.titles("child_of:*") == ["First"]
    assert await world.titles("links_to:*") == []
    assert await world.titles("extras_links_to:elsewhere") == ["First"]
    assert (await world.search(fl="child_of", q="title:first"))["results"] == [{"child_of": [other]}]

    await world.call("package_patch", id=second["id"], private=True)
    assert await world.titles("child_of:*", include_private=True) == []
    assert await world.titles(f"parent_of:{name}", include_private=True) == ["Second"]
    await world.call("package_patch", id=second["id"], private=False, name=(renamed := unique("renamed")))
    assert await world.titles(f"child_of:{other}") == []
    assert await world.titles(f"child_of:{renamed}") == ["First"]
    await world.call("package_relationship_delete", **relationship)
    assert await world.titles("child_of:*") == []
    await world.call("package_relationship_create", **relationship)
    await world.call("dataset_purge", id=second["id"])
    assert await world.titles("child_of:*") == []
