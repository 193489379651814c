"""package_search: what queries find, in which order, and what is counted (catalog-api.md §C7)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.accounts.actor import ANONYMOUS
from datastore.actions.registry import Call, run
from datastore.actions.services import Services
from datastore.catalog.search import run as search_run
from datastore.catalog.search.remembered import Counted, Remembered, State, state_of
from datastore.errors import SearchError, SearchQueryError, ValidationError
from datastore.postgres.database import Transaction
from tests.accounts.people import caller, site_with
from tests.catalog.samples import ActionCall, unique
from tests.catalog.search.test_syntax import TEXTS
from tests.catalog.search.world import World, letters


@pytest.fixture
async def world(call: ActionCall) -> World:
    """Four datasets."""
    world = await World.make(call)
    await world.add(
        "Rivers",
        name=unique("rivers"),
        notes="The quality of water in rivers, measured daily by l'Agence de l'eau. Économie and more.",
        tags=[{"name": "economy"}, {"name": "Water quality"}],
        license_id="cc-by",
        author="Ann Archer",
        extras=[
            {"key": "year", "value": "2010"},
            {"key": "Theme", "value": "nature"},
            {"key": "start_date", "value": "2010-05-01"},
            {"key": "spatial", "value": '{"type": "Polygon", "coordinates": [[[0, 40], [5, 40], [5, 45], [0, 40]]]}'},
        ],
        resources=[
            {"url": "http://example.org/river_levels.csv", "name": "Levels", "format": "csv"},
            {
                "url": "http://example.org/b",
                "name": "Stations",
                "description": "Where it is measured",
                "format": "JSON",
            },
        ],
    )
    await world.add(
        "Lakes and ponds",
        notes="Depths of lakes. Not of rivers",
        tags=[{"name": "Water quality"}],
        license_id="odc-odbl",
        extras=[{"key": "year", "value": "9"}],
        resources=[{"url": "http://example.org/lakes.csv", "format": "CSV"}],
    )
    await world.add(
        "Budget 2026", notes="What the DataStore office spends", tags=[{"name": "economy"}, {"name": "ecology"}]
    )
    await world.add("Málaga", notes="Población", version="1.2")
    return world


ALL = ["Budget 2026", "Lakes and ponds", "Málaga", "Rivers"]


async def test_every_query(world: World) -> None:
    """One after the other: each is a line of the language."""
    found = {
        # everything
        None: ALL, "": ALL, '""': ALL, "''": ALL, "*:*": ALL, "*": ALL,
        # words, everywhere: stemmed, without accents, in any case
        "rivers": ["Lakes and ponds", "Rivers"], "RIVER": ["Lakes and ponds", "Rivers"],
        "malaga": ["Málaga"], "MÁLAGA": ["Málaga"], "poblacion": ["Málaga"], "economie": ["Budget 2026", "Rivers"],
        "archer": ["Rivers"], "nature": ["Rivers"], "stations": ["Rivers"], "attribution": ["Rivers"],
        "datastore": ["Budget 2026"], "data store": ["Budget 2026"], "river_levels": ["Rivers"], "levels.csv": ["Rivers"],
        '"quality of water"': ["Rivers"], '"water of quality"': [],
        "wat*": ["Lakes and ponds", "Rivers"], "the": [], "the rivers": ["Lakes and ponds", "Rivers"],
        "nosuchword": [],
        # how many must be found: both of two, two of three, three of four
        "rivers nosuchword": [], "rivers lakes nosuchword": ["Lakes and ponds"],
        "rivers lakes ponds nosuchword": ["Lakes and ponds"], "rivers lakes nosuch another": [],
        "+rivers -lakes": ["Rivers"], "-lakes": ["Budget 2026", "Málaga", "Rivers"], "-rivers budget": ["Budget 2026"],
        # fields
        "title:rivers": ["Rivers"], "title:river": ["Rivers"], "title:(rivers OR lakes)": ["Lakes and ponds", "Rivers"],
        'title:"lakes and ponds"': ["Lakes and ponds"], "notes:rivers": ["Lakes and ponds", "Rivers"],
        "title_string:Rivers": ["Rivers"], "title_string:rivers": [], "author:ann": ["Rivers"],
        "tags:economy": ["Budget 2026", "Rivers"], "tags:Economy": [], 'tags:"Water quality"': ["Lakes and ponds", "Rivers"],
        r"tags:Water\ quality": ["Lakes and ponds", "Rivers"], "tags:Water": [], "license_id:cc-by": ["Rivers"],
        "license:odc-odbl": [], 'license:"Creative Commons Attribution"': ["Rivers"],
        "isopen:true": ["Lakes and ponds", "Rivers"], "res_format:CSV": ["Lakes and ponds", "Rivers"], "res_format:csv": [],
        "res_name:level": ["Rivers"], "res_description:measured": ["Rivers"],
        'res_url:"http://example.org/b"': ["Rivers"], "res_url:http://example.org/b": ["Rivers"], "urls:lakes": ["Lakes and ponds"],
        "year:2010": ["Rivers"], "Theme:nature": ["Rivers"], "theme:nature": [], "extras_Theme:nature": ["Rivers"],
        "num_resources:2": ["Rivers"], "version:1.2": ["Málaga"], "capacity:public": ALL, "capacity:private": [],
        "type:dataset": ALL, "dataset_type:harvest": [], "state:active": ALL, "state:draft": [],
        "nosuchfield:x": [], "tags:nosuchtag": [], "title_ngram:ive": ["Rivers"], "title_ngram:(IVE)": ["Rivers"],
        # operators
        "title:rivers AND tags:economy": ["Rivers"], "title:rivers && tags:economy": ["Rivers"],
        "title:rivers OR title:lakes": ["Lakes and ponds", "Rivers"], "title:rivers || title:lakes": ["Lakes and ponds", "Rivers"],
        "tags:economy NOT title:rivers": ["Budget 2026"], "tags:economy AND !title:rivers": ["Budget 2026"],
        "tags:economy -title:rivers": ["Budget 2026"], "+tags:economy +title:rivers": ["Rivers"],
        "title:rivers OR title:lakes AND tags:economy": ["Rivers"],
        "(title:rivers OR title:lakes) AND year:9": ["Lakes and ponds"],
        "NOT (title:rivers OR title:lakes)": ["Budget 2026", "Málaga"], "*:* NOT title:rivers": ["Budget 2026", "Lakes and ponds", "Málaga"],
        "title:the AND rivers": ["Lakes and ponds", "Rivers"], "title:the": [],
        # has a value, or none
        "version:*": ["Málaga"], "-tags:*": ["Málaga"], "-tags:[* TO *]": ["Málaga"], "tags:[* TO *] -version:*": ["Budget 2026", "Lakes and ponds", "Rivers"],
        "title:*": ALL, "metadata_created:*": ALL, "text:*": ALL,
        # patterns
        "title:riv*": ["Rivers"], "title:r?ver*": ["Rivers"], "title:*vers": ["Rivers"], "tags:eco*": ["Budget 2026", "Rivers"],
        "tags:eco*y": ["Budget 2026", "Rivers"], "tags:*quality": ["Lakes and ponds", "Rivers"], "tags:ec?logy": ["Budget 2026"],
        "tags:*_*": [], "tags:100%": [], "name:rivers-*": ["Rivers"], "MALAG*": ["Málaga"], "ecologica*": [], "qualit*": ["Lakes and ponds", "Rivers"], "agenc*": ["Rivers"], "measure*": ["Rivers"], "dail*": ["Rivers"], "dai*": ["Rivers"], "title:málag*": ["Málaga"],
        # ranges
        "year:[2000 TO 2015]": ["Rivers"], "year:[* TO 100]": ["Lakes and ponds"], "year:{9 TO *]": ["Rivers"], "year:[9 TO 2010}": ["Lakes and ponds"],
        "num_resources:[1 TO *]": ["Lakes and ponds", "Rivers"], "tags:[ecology TO economy}": ["Budget 2026"],
        "start_date:[2010-01-01T00:00:00Z TO 2010-12-31T00:00:00Z]": ["Rivers"], "start_date:[NOW/YEAR TO *]": [],
        "metadata_modified:[NOW-1HOUR TO *]": ALL, "metadata_modified:[* TO NOW-1HOUR]": [], "metadata_created:[2020-01-01T00:00:00Z TO 2021]": [],
        "metadata_modified:{NOW+1DAY/DAY TO *}": [], 'metadata_created:"2020-01-01T00:00:00Z"': [], "metadata_created:2020-01-01T00:00:00Z": [],
        # inexact
        "title:rivrs~": ["Rivers"], "title:rivrs~1": ["Rivers"], "rivvvers~1 OR title:x": [], "title:pond~0": ["Lakes and ponds"],
        'notes:"quality rivers"': [], 'notes:"quality rivers"~3': ["Rivers"], 'notes:"rivers quality"~3': ["Rivers"],
        # weights change the order only
        "title:rivers^4 OR notes:rivers": ["Lakes and ponds", "Rivers"], "(title:rivers tags:economy)^2": ["Rivers"],
    }  # fmt: skip
    wrong = {}
    for query, titles in found.items():
        if await world.titles(query) != titles:
            wrong[query] = (await world.titles(query), titles)
    assert not wrong


@pytest.mark.parametrize(
    "q",
    ["title:(", 'title:"x', "a:b AND", "metadata_modified:[yesterday TO *]", "metadata_modified:soon", "x:" + "(" * 100,
     "a:[1 TO", "{!xmlparser v=''}", "  {!x}a"],
)  # fmt: skip
async def test_what_cannot_be_understood(call: ActionCall, q: str) -> None:
    with pytest.raises(SearchError, match=r"^Search error: "):
        await call("package_search", q=q)
    with pytest.raises(SearchError):
        await call("package_search", fq=q)


async def test_what_is_too_much(call: ActionCall) -> None:
    words = " ".join(f"word{number}" for number in range(9000))
    with pytest.raises(SearchError, match="too complex"):
        await call("package_search", q=f'notes:"{words}"~20')
    assert (await call("package_search", q=f'notes:"{words}"'))["count"] == 0
    assert (await call("package_search", q=" ".join(f"word{number}" for number in range(1000)), rows=0))["count"] == 0


async def test_bad_parameters(call: ActionCall) -> None:
    async def refused(error: type[Exception], match: str, **parameters: Any) -> None:
        with pytest.raises(error, match=match):
            await call("package_search", **parameters)

    await refused(SearchQueryError, r"Search Query is invalid: .*Invalid search parameters: \['rowz'\]", rowz=1)
    for sort in ("name", "name up", "tags asc", "name asc,", "na me asc", "text desc", "x'y asc", "vocab_T asc"):
        await refused(SearchQueryError, 'Invalid "sort" parameter', sort=sort)
    await refused(ValidationError, "Invalid integer", rows="many")
    await refused(ValidationError, "Invalid integer", start="x")
    await refused(ValidationError, "natural", rows=-1)
    await refused(ValidationError, "Invalid integer", **{"facet.limit": "x"})
    await refused(ValidationError, "Not a list of strings", **{"facet.field": "[1]"})
    await refused(ValidationError, "Not a list of strings", **{"facet.field": '{"a": 1}'})
    await refused(ValidationError, "Not a list of strings", fq_list=[1])
    for name in ("q", "fq", "fq_list", "sort", "facet.field", "fl"):
        await refused(ValidationError, "NUL", **{name: "a\0b"})
    for name in ("q", "fq", "sort", "fl", "defType"):
        await refused(SearchError, f"Local parameters are not supported in param '{name}'", **{name: "{!x}"})
    for box in ("1,2,3", "a,b,c,d", "0,0,inf,1", {"a": 1}):
        await refused(SearchQueryError, "ext_bbox", ext_bbox=box)


async def test_unknown_to_us_but_harmless(world: World) -> None:
    harmless: dict[str, Any] = {
        "bf": "recip(x)",
        "boost": "x",
        "tie": "0.1",
        "defType": "edismax",
        "wt": "json",
        "df": "text",
    }
    found = await world.search("rivers", **harmless, use_default_schema=True, ext_anything="x", extras={"ext_x": 1})
    assert found["count"] == 2


async def test_filters_are_one_clause_each(world: World) -> None:
    other = await World.make(world.call)
    await other.add("Elsewhere")
    either = f'title:elsewhere OR owner_org:"{other.organization["id"]}"'
    assert await world.titles(fq=either) == []
    assert await world.titles("rivers", fq="tags:economy") == ["Rivers"]
    assert await world.titles(fq="tags:economy", fq_list=["title:budget"]) == ["Budget 2026"]
    assert await world.titles(fq=["tags:economy", "title:budget"]) == ["Budget 2026"]
    own = world.organization
    assert (await world.call("package_search", fq_list=f"organization:{own['name']}"))["count"] == 4
    assert (await world.call("package_search", fq=f'+owner_org:"{own["id"]}" +tags:ecology'))["count"] == 1


async def test_pages_and_their_order(world: World) -> None:
    async def in_order(**parameters: Any) -> list[str]:
        return [dataset["title"] for dataset in (await world.search(**parameters))["results"]]

    everything = await world.search()
    assert everything["sort"] == "score desc, metadata_modified desc"
    changes = [dataset["metadata_modified"] for dataset in everything["results"]]
    assert changes == sorted(changes, reverse=True)
    assert await in_order(sort="title_string asc") == ALL
    assert await in_order(sort="title desc") == ALL[::-1]
    assert await in_order(sort="title asc", rows=2) == ALL[:2]
    assert await in_order(sort="title asc", rows=2, start=1) == ALL[1:3]
    assert await in_order(sort="title asc", start=100) == []
    assert (await world.search(rows=0))["count"] == 4
    assert await in_order(sort="year asc, title desc") == ["Rivers", "Lakes and ponds", "Málaga", "Budget 2026"]
    assert await in_order(sort="num_resources desc, title asc") == [
        "Rivers",
        "Lakes and ponds",
        "Budget 2026",
        "Málaga",
    ]
    assert await in_order(sort="views_recent desc, name asc") == await in_order(sort="name asc")
    assert (await world.search(sort="rank"))["sort"] == "score desc, metadata_modified desc"
    assert (await world.search(sort="name asc"))["sort"] == "name asc"
    ids = [dataset["id"] for dataset in (await world.search(sort="id asc"))["results"]]
    assert ids == sorted(ids)


async def test_extras_that_are_dates(call: ActionCall) -> None:
    world = await World.make(call)
    values = (
        "2020-01-01T00:30:00+02:00",
        "2020-01-01T00:00:00Z",
        "2020-01",
        "2020-01-01",
        "2019",
        "soon",
        "2020-99-99",
    )
    for value in values:
        await world.add(value, extras=[{"key": "issued_date", "value": value}])
    year = ["2020-01", "2020-01-01", "2020-01-01T00:00:00Z"]
    found = {
        "issued_date:[2020-01-01T00:00:00Z TO *]": year,
        "issued_date:[2020 TO 2020]": year,
        "issued_date:[2019-12-31T22:00:00Z TO 2019-12-31T23:00:00Z]": ["2020-01-01T00:30:00+02:00"],
        "issued_date:[* TO 2019]": ["2019", "2020-01-01T00:30:00+02:00"],
        "issued_date:{2019 TO 2021}": year,
        'issued_date:"2020-01-01T00:00:00Z"': year,
        'issued_date:"2019-12-31T22:30:00"': ["2020-01-01T00:30:00+02:00"],
        'issued_date:"2020-01-01T00:30:00+02:00"': ["2020-01-01T00:30:00+02:00"],
        "issued_date:2020-99-99": ["2020-99-99"],
        "issued_date:soon": ["soon"],
        "issued_date:[s TO *]": ["soon"],
        "issued_date:[* TO *]": sorted(values),
    }
    assert {query: await world.titles(fq_list=[query]) for query in found} == found


async def test_sort_by_a_field_of_words(call: ActionCall) -> None:
    world = await World.make(call)
    for title, author in (("First", "zoe"), ("Second", None), ("Third", "Ann Smith")):
        await world.add(title, author=author, maintainer=author, notes=author)
    for field in ("author", "maintainer", "notes"):
        for direction, order in (("asc", ["Third", "First", "Second"]), ("desc", ["First", "Third", "Second"])):
            found = await world.search(sort=f"{field} {direction}")
            assert [dataset["title"] for dataset in found["results"]] == order, (field, direction)


async def test_titles_count_more_than_descriptions(world: World) -> None:
    async def first(q: str, **parameters: Any) -> str:
        found = await world.search(q, **parameters)
        return str(found["results"][0]["title"])

    assert await first("rivers") == "Rivers"
    assert await first("title:rivers OR title:lakes^10") == "Lakes and ponds"
    assert await first("title:rivers^10 OR title:lakes") == "Rivers"
    scores = (await world.search("rivers", fl="title,score"))["results"]
    assert scores[0]["score"] > scores[1]["score"]


async def test_where_words_are_looked_for(world: World) -> None:
    assert await world.titles("rivers", qf="title") == ["Rivers"]
    assert await world.titles("economy", qf="title^4 tags^2") == ["Budget 2026", "Rivers"]
    assert await world.titles("rivers", qf="title^4 text") == ["Lakes and ponds", "Rivers"]
    assert await world.titles("rivers", qf="+++") == ["Lakes and ponds", "Rivers"]
    assert await world.titles("rivers nosuch", mm="1") == ["Lakes and ponds", "Rivers"]
    assert await world.titles("rivers nosuch", mm="50%") == ["Lakes and ponds", "Rivers"]
    assert await world.titles("rivers lakes nosuch", mm="100%") == []


async def test_many_words_are_counted(world: World) -> None:
    """Four of five of many words: too many combinations to write down, so they are counted."""
    words = [
        "quality",
        "water",
        "rivers",
        "measured",
        "daily",
        "agence",
        "economie",
        "more",
        "levels",
        "stations",
        "archer",
        "nature",
    ]
    assert await world.titles(" ".join([*words, "no1", "no2", "no3"])) == ["Rivers"]
    assert await world.titles(" ".join([*words, "nosuch", "another", "third", "fourth"])) == []
    assert await world.titles(" ".join([f'"{word}"' for word in words] + ["-lakes"])) == ["Rivers"]


async def test_facets(world: World) -> None:
    fields = ["tags", "organization", "res_format", "license_id", "groups", "year", "capacity", "nosuch", "text"]
    found = await world.search(facet_field=json.dumps(fields))
    organization = world.organization
    assert found["facets"] == {
        "tags": {"Water quality": 2, "economy": 2, "ecology": 1},
        "organization": {organization["name"]: 4},
        "res_format": {"CSV": 2, "JSON": 1},
        "license_id": {"cc-by": 1, "odc-odbl": 1},
        "groups": {},
        "year": {"2010": 1, "9": 1},
        "capacity": {"public": 4},
        "nosuch": {},
        "text": {},
    }
    assert list(found["facets"]["tags"]) == ["Water quality", "economy", "ecology"]
    assert list(found["facets"]) == fields
    described = found["search_facets"]
    assert described["organization"] == {
        "title": "organization",
        "items": [{"name": organization["name"], "display_name": organization["title"], "count": 4}],
    }
    assert [item["display_name"] for item in described["license_id"]["items"]] == [
        "Open Data Commons Open Database License (ODbL)",
        "Creative Commons Attribution",
    ]
    assert [item["name"] for item in described["tags"]["items"]] == ["economy", "ecology", "Water quality"]
    assert described["groups"] == {"title": "groups", "items": []}


async def test_how_facets_are_asked_for(world: World) -> None:
    async def tags(q: str | None = None, **parameters: Any) -> Any:
        return (await world.search(q, **parameters))["facets"]

    everything = {"Water quality": 2, "economy": 2, "ecology": 1}
    for asked in (["tags"], '["tags"]', "tags", '"tags"'):
        assert await tags(facet_field=asked) == {"tags": everything}
    assert await tags(facet_field="tags,year") == {"tags": everything, "year": {"2010": 1, "9": 1}}
    assert await tags(facet_field=["tags"], rows=0) == {"tags": everything}
    assert await tags("title:rivers", facet_field=["tags"]) == {"tags": {"Water quality": 1, "economy": 1}}
    assert await tags("title:nosuch", facet_field=["tags", "year"]) == {"tags": {}, "year": {}}
    assert await tags(facet_field=["tags"], facet_limit=1) == {"tags": {"Water quality": 2}}
    assert await tags(facet_field=["tags", "year"], facet_limit=0) == {"tags": {}, "year": {}}
    assert await tags(facet_field=["tags"], facet_limit=-1) == {"tags": everything}
    assert await tags(facet_field=["tags", "year"], facet_mincount=2) == {
        "tags": {"Water quality": 2, "economy": 2},
        "year": {},
    }
    assert await tags(facet_field=["tags"], facet_mincount=0) == {"tags": everything}
    assert await tags(facet_field=["tags"], facet="false") == {}
    assert await tags() == {}


async def test_fields_of_results(world: World) -> None:
    found = await world.search("title:rivers", fl="id,name,title,tags,organization,num_resources,private,year,nosuch")
    dataset = (await world.search("title:rivers"))["results"][0]
    assert found["results"] == [
        {
            "id": dataset["id"],
            "name": dataset["name"],
            "title": "Rivers",
            "tags": ["Water quality", "economy"],
            "organization": world.organization["name"],
            "num_resources": 2,
            "private": False,
            "year": "2010",
        }
    ]
    assert (await world.search("title:rivers", fl=["title", "score"]))["results"][0].keys() == {"title", "score"}
    assert (await world.search("title:rivers", fl='["title"]'))["results"] == [{"title": "Rivers"}]
    assert (await world.search("title:rivers", fl="*"))["results"][0]["notes"].startswith("The quality")


async def test_results_are_what_package_show_shows(world: World) -> None:
    found = (await world.search("title:rivers"))["results"][0]
    assert found == await world.call("package_show", id=found["id"])


async def test_box(world: World) -> None:
    assert await world.titles(ext_bbox="4,44,10,50") == ["Rivers"]
    assert await world.titles(ext_bbox="5,45,5,45") == ["Rivers"]
    assert await world.titles(ext_bbox=[6, 40, 10, 50]) == []
    assert await world.titles(ext_bbox="0,46,10,50") == []
    assert await world.titles(extras={"ext_bbox": "-180,-90,180,90"}) == ["Rivers"]
    assert await world.titles(ext_bbox="") == ALL


async def test_what_is_no_geometry_is_nowhere(call: ActionCall) -> None:
    world = await World.make(call)
    for number, spatial in enumerate(
        ["Paris", "[1, 2]", '{"coordinates": ["a", 1]}', "[" * 20_000, '{"type": "x"}', "1e999"]
    ):
        await world.add(f"Place {number}", extras=[{"key": "spatial", "value": spatial}])
    await world.add("Point", extras=[{"key": "spatial", "value": '{"type": "Point", "coordinates": [1, 2, 3]}'}])
    assert await world.titles(ext_bbox="-180,-90,180,90") == ["Point"]


async def test_did_you_mean(world: World) -> None:
    async def suggested(q: str, **parameters: Any) -> str | None:
        found: dict[str, Any] = await world.search(q, **parameters)
        return found.get("did_you_mean")

    await world.add("Archipelago")
    assert await suggested("archipelaggo") == "archipelago"
    assert await suggested('"archipelaggo"') == '"archipelago"'
    assert await suggested("archipelago") is None
    assert await suggested("rivers water quality archipelaggo") == "rivers water quality archipelago"
    assert await suggested("title:archipelaggo") is None
    assert await suggested("archipelaggo", fq="tags:economy") is None
    assert await suggested("completely unlike anything") is None


@given(q=TEXTS, fq=TEXTS)
async def test_any_text_has_a_result_or_is_refused(services: Services, q: str, fq: str) -> None:
    for parameters in ({"q": q}, {"fq": fq}, {"q": q, "fq": fq, "facet.field": ["tags"], "sort": "score desc"}):
        try:
            await _search(services, parameters)
        except (SearchError, ValidationError):
            continue


@given(field=st.text(max_size=10), sort=st.text(max_size=12), fl=st.lists(st.text(max_size=8), max_size=3))
async def test_any_field_has_a_result_or_is_refused(services: Services, field: str, sort: str, fl: list[str]) -> None:
    for parameters in ({"facet.field": [field]}, {"sort": f"{field} asc"}, {"sort": sort}, {"fl": fl}):
        try:
            await _search(services, parameters)
        except (SearchError, SearchQueryError, ValidationError):
            continue


async def _search(services: Services, parameters: dict[str, Any]) -> Any:
    return await run("package_search", Call(services, ANONYMOUS, "http://test"), parameters)


async def _counts(services: Services, query: str) -> tuple[int, dict[str, int]]:
    """What the public finds with the query, counted by tags; this worker remembers it."""
    parameters = {"q": query, "facet.field": ["tags"], "rows": 0}
    found: dict[str, Any] = await run("package_search", Call(services, ANONYMOUS, "http://test"), parameters)
    return found["count"], found["facets"]["tags"]


async def test_what_is_remembered_is_true(world: World, services: Services) -> None:
    mark = letters("memory")
    first = await world.add(f"{mark} first", tags=[{"name": "one"}])
    query = f"title:{mark}"
    assert await _counts(services, query) == (1, {"one": 1})
    assert await _counts(services, query) == (1, {"one": 1})
    second = await world.add(f"{mark} second", tags=[{"name": "one"}, {"name": "two"}])
    assert await _counts(services, query) == (2, {"one": 2, "two": 1})
    await world.call("package_patch", id=first["id"], tags=[])
    assert await _counts(services, query) == (2, {"one": 1, "two": 1})
    await world.call("package_patch", id=second["id"], private=True)
    assert await _counts(services, query) == (1, {})
    private = await world.search(query, include_private=True, facet_field=["tags"])
    assert (private["count"], private["facets"]["tags"]) == (2, {"one": 1, "two": 1})
    assert await _counts(services, query) == (1, {})
    await world.call("dataset_purge", id=first["id"])
    assert await _counts(services, query) == (0, {})


async def test_the_state_has_another_name_after_every_change(world: World, services: Services) -> None:
    async def state() -> State:
        return await state_of(services.database.owner)

    seen = [await state()]
    dataset = await world.add("Changed often")
    for number in range(60):
        await world.call("package_patch", id=dataset["id"], title=f"Changed {number}")
        seen.append(await state())
    assert len(set(seen)) == len(seen)
    assert max(map(len, seen)) < 300  # other tests write meanwhile


async def test_a_change_that_is_not_committed_is_not_remembered(world: World, services: Services) -> None:
    mark = letters("rolled")
    dataset = await world.add(f"{mark} title", tags=[{"name": "one"}])
    query = f"title:{mark}"

    async def fails(tx: Transaction) -> None:
        await tx.connection.execute("UPDATE datastore.datasets SET private = true WHERE id = $1", dataset["id"])
        await tx.connection.execute("SET CONSTRAINTS ALL IMMEDIATE")  # the index is written now
        assert await _counts(services, query) == (1, {"one": 1})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await services.database.write(fails)
    assert await _counts(services, query) == (1, {"one": 1})


@pytest.mark.parametrize("few", [0, 100])
async def test_few_and_many_are_put_in_the_same_order(world: World, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches that find few datasets and those that find many have another plan."""
    monkeypatch.setattr(search_run, "_FEW", few)
    for sort in ("name asc", "title_string desc", "metadata_created asc", "id desc", "num_tags asc, name desc"):
        found = [item["id"] for item in (await world.search("title:*", sort=sort))["results"]]
        assert len(found) == 4
        pages = [(await world.search("title:*", sort=sort, rows=1, start=start))["results"] for start in range(4)]
        assert [page[0]["id"] for page in pages] == found
    by_name = [item["name"] for item in (await world.search("title:*", sort="name asc"))["results"]]
    assert by_name == sorted(by_name)


async def test_the_site_says_how_many_rows_at_most(world: World, services: Services) -> None:
    small = caller(site_with(services, package_search_rows_max=2), ANONYMOUS)
    for rows in (None, 3, 1000):
        found = await small("package_search", fq=f'owner_org:"{world.organization["id"]}"', rows=rows)
        assert (found["count"], len(found["results"])) == (4, 2)


def test_little_is_remembered() -> None:
    memory, counted = Remembered(), Counted(1, {"tags": {"one": 1}})
    for number in range(300):
        memory.put(number, ("1",), counted)
    assert memory.get(299, ("1",)) == counted
    assert memory.get(299, ("1", "2")) is None
    assert memory.get(0, ("1",)) is None
    memory.put("large", ("1",), Counted(1, {"tags": {str(number): 1 for number in range(3000)}}))
    assert memory.get("large", ("1",)) is None
