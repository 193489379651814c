"""The catalog through ckanapi: its library calls every kind of action, its command line dumps and loads datasets."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import ckanapi
import pytest

from tests.catalog.samples import ActionCall, full, unique
from tests.conftest import ADMIN_TOKEN


async def command_line(*arguments: str, input: bytes | None = None) -> str:
    folder = Path(sys.executable).parent
    process = await asyncio.create_subprocess_exec(
        folder / "ckanapi",
        *arguments,
        env={**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"},  # it starts workers by its name
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(input)
    assert process.returncode == 0, err.decode()
    return out.decode()


def every_kind_of_action(address: str, organization: str) -> None:
    name, other, genre = unique(), unique(), unique("Genre ")
    with ckanapi.RemoteCKAN(address, apikey=ADMIN_TOKEN) as portal:
        api = portal.action
        vocabulary = api.vocabulary_create(name=genre, tags=[{"name": "jazz"}])
        tag = {"name": "jazz", "vocabulary_id": vocabulary["id"]}
        dataset = api.package_create(**{**full(organization), "name": name, "tags": [tag, {"name": "free"}]})
        api.package_create(name=other, owner_org=organization)
        api.package_relationship_create(subject=name, object=other, type="derives_from", comment="c")
        assert api.package_relationships_list(id=other)[0]["type"] == "has_derivation"
        shown = api.package_show(id=name)
        assert api.package_update(**shown) == shown
        assert api.package_patch(id=name, notes="new")["notes"] == "new"
        revised = api.package_revise(
            match={"name": name, "notes": "new"}, update__notes="newer", include=["+notes", "-*"]
        )
        assert revised == {"package": {"notes": "newer"}}
        with pytest.raises(ckanapi.ValidationError) as caught:
            api.package_revise(match__name=name, match__notes="new", update__notes="x")
        assert caught.value.error_dict["match"] == ["notes"]
        second = dataset["resources"][1]["id"]
        assert api.package_resource_reorder(id=name, order=[second])["order"][0] == second
        view = api.resource_view_create(
            resource_id=second, view_type="webpage_view", title="t", page_url="http://x.org"
        )
        assert api.resource_view_update(**view) == view
        assert view in api.resource_view_list(id=second)
        assert api.resource_view_delete(id=view["id"]) == {"resource_id": second}
        api.bulk_update_private(datasets=[dataset["id"]], org_id=organization)
        with ckanapi.RemoteCKAN(address) as anonymous, pytest.raises(ckanapi.NotAuthorized):
            anonymous.action.package_show(id=name)
        api.bulk_update_public(datasets=[dataset["id"]], org_id=organization)
        status = api.task_status_update(
            entity_id=second, entity_type="resource", task_type="t", key="k", state="pending"
        )
        api.term_translation_update(term=name, term_translation="x", lang_code="de")
        with ckanapi.RemoteCKAN(address, get_only=True) as anonymous:
            read = anonymous.action
            assert read.package_show(id=name)["num_tags"] == 2
            assert read.vocabulary_show(id=genre)["tags"][0]["name"] == "jazz"
            assert read.term_translation_show(terms=[name, "y"])[0]["lang_code"] == "de"
            assert read.task_status_show(id=status["id"]) == status
            assert name in [item["name"] for item in read.current_package_list_with_resources(limit=1000)]
            assert {"notspecified", "cc-by"} <= {item["id"] for item in read.license_list()}
        assert "ckan.site_title" in api.config_option_list()
        api.vocabulary_delete(id=genre)
        for key in (name, other):
            api.dataset_purge(id=key)
            with pytest.raises(ckanapi.NotFound):
                api.package_show(id=key)


async def test_every_kind_of_action(address: str, organization: str) -> None:
    await asyncio.to_thread(every_kind_of_action, address, organization)


def comparable(dump: str) -> list[dict[str, Any]]:
    """The dumped datasets without the times of the load itself."""
    datasets = sorted((json.loads(line) for line in dump.splitlines()), key=lambda dataset: str(dataset["name"]))
    for dataset in datasets:
        del dataset["metadata_created"]
        for resource in dataset["resources"]:
            del resource["metadata_modified"]
    return datasets


async def test_a_dump_is_loaded_and_dumped_again(call: ActionCall, address: str, organization: str) -> None:
    vocabulary = await call("vocabulary_create", name=unique(), tags=[{"name": "jazz"}])
    names = sorted(unique() for _ in range(6))
    for number, name in enumerate(names):
        fields = {**full(organization), "name": name, "private": number == 1, "version": str(number)}
        if number % 2:
            fields["tags"].append({"name": "jazz", "vocabulary_id": vocabulary["id"]})
        await call("package_create", **fields)
    await call("package_relationship_create", subject=names[0], object=names[2], type="links_to", comment="c")
    await call("package_delete", id=names[5])
    dump = ("dump", "datasets", *names, "-r", address, "-a", ADMIN_TOKEN)
    load = ("load", "datasets", "-p", "3", "-r", address, "-a", ADMIN_TOKEN)
    before = await command_line(*dump)
    assert [dataset["name"] for dataset in comparable(before)] == names

    await command_line(*load, input=before.encode())
    # Nothing changed, not even a time.
    assert sorted((await command_line(*dump)).splitlines()) == sorted(before.splitlines())

    for name in names:
        await call("dataset_purge", id=name)
    await command_line(*load, input=before.encode())
    assert comparable(await command_line(*dump)) == comparable(before)
