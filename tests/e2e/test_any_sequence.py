"""Any sequence of writes keeps count, version, ``_table_metadata`` and ``datastore_active`` true."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from datastore.actions.services import Services
from datastore.errors import NotFound, ValidationError

CallAction = Callable[..., Awaitable[Any]]
Rows = list[dict[str, Any]]

keys = st.integers(0, 5)
rows = st.lists(st.fixed_dictionaries({"k": keys, "v": st.none() | st.sampled_from("abc")}), max_size=4)
steps = st.one_of(
    st.tuples(st.sampled_from(["create", "upsert", "insert", "update", "dry"]), rows),
    st.tuples(st.sampled_from(["delete", "records_delete"]), st.lists(keys, max_size=3)),
    st.tuples(st.just("drop"), st.none()),
    st.tuples(st.just("column"), st.sampled_from(["x", "y"])),
    st.tuples(st.just("alias"), st.booleans()),
)


class Machine:
    """Does each step to the real table and to a naive model of it, and compares the two."""

    def __init__(self, call: CallAction, services: Services, resource_id: str) -> None:
        self.call, self.services, self.resource_id = call, services, resource_id
        self.exists, self.has_alias, self.version = False, False, 0
        self.rows: dict[int, str | None] = {}

    @property
    def alias(self) -> str:
        return f"alias {self.resource_id}"

    async def step(self, kind: str, value: Any) -> None:
        """One action. It is refused just when the model says so."""
        name, parameters, fits = self._plan(kind, value)
        try:
            await self.call(name, resource_id=self.resource_id, **parameters)
        except NotFound:
            assert not self.exists
            return
        except ValidationError as error:
            assert not fits, error.fields  # noqa: PT017 -- the model says which of both is right
            return
        assert fits
        self._follow(kind, value)

    def _plan(self, kind: str, value: Any) -> tuple[str, dict[str, Any], bool]:
        if kind == "create":
            fields = [{"id": "k", "type": "int"}, {"id": "v", "type": "text"}]
            return "datastore_create", {"fields": fields, "primary_key": "k", "records": value}, self._insertable(value)
        if kind in ("upsert", "insert", "update"):
            fits = {"upsert": True, "insert": self._insertable(value), "update": self._known(value)}[kind]
            return "datastore_upsert", {"records": value, "method": kind}, fits
        if kind == "dry":
            return "datastore_upsert", {"records": value, "dry_run": True}, True
        if kind in ("delete", "records_delete"):
            return f"datastore_{kind}", {"filters": {"k": value}}, True
        if kind == "drop":
            return "datastore_delete", {}, True
        if kind == "column":
            fields = [{"id": "k", "type": "int"}, {"id": "v", "type": "text"}, {"id": value, "type": "text"}]
            return "datastore_create", {"fields": fields, "primary_key": "k"}, True
        fields = [{"id": "k", "type": "int"}, {"id": "v", "type": "text"}]
        aliases = [self.alias] if value else []
        return "datastore_create", {"fields": fields, "primary_key": "k", "aliases": aliases}, True

    def _insertable(self, records: Rows) -> bool:
        new = [record["k"] for record in records]
        return len(set(new)) == len(new) and not set(new) & self.rows.keys()

    def _known(self, records: Rows) -> bool:
        return all(record["k"] in self.rows for record in records)

    def _follow(self, kind: str, value: Any) -> None:
        if kind in ("create", "upsert", "insert", "update"):
            self.rows.update({record["k"]: record["v"] for record in value})
        elif kind in ("delete", "records_delete"):
            self.rows = {key: text for key, text in self.rows.items() if key not in value}
        elif kind == "drop":
            self.exists, self.has_alias, self.rows, self.version = False, False, {}, 0
        elif kind == "alias":
            self.has_alias = value
        if kind in ("create", "column", "alias"):
            self.exists = True

    async def check(self) -> None:
        """Everything that can be asked about the table says what the model says."""
        resource = await self.call("resource_show", id=self.resource_id)
        assert resource["datastore_active"] is self.exists
        listed = await self.call("datastore_search", resource_id="_table_metadata", limit=32000)
        names = {row["name"]: row["alias_of"] for row in listed["records"]}
        assert (self.resource_id in names) is self.exists
        assert names.get(self.alias) == (self.resource_id if self.has_alias else None)
        if not self.exists:
            return
        for name in [self.resource_id, *([self.alias] if self.has_alias else [])]:
            found = await self.call("datastore_search", resource_id=name)
            assert {row["k"]: row["v"] for row in found["records"]} == self.rows
            assert found["total"] == len(found["records"]) == len(self.rows)
        info = await self.call("datastore_info", resource_id=self.resource_id)
        assert info["meta"]["count"] == len(self.rows)
        version = await self.services.database.owner.fetchval(
            "SELECT version FROM datastore.tables WHERE resource_id = $1", self.resource_id
        )
        assert version >= self.version
        self.version = version


@settings(max_examples=60)
@given(sequence=st.lists(steps, min_size=1, max_size=12))
async def test_any_sequence(
    call: CallAction, services: Services, dataset: str, sequence: list[tuple[str, Any]]
) -> None:
    resource = await call("resource_create", package_id=dataset, url_type="datastore")
    machine = Machine(call, services, resource["id"])
    for kind, value in sequence:
        await machine.step(kind, value)
        await machine.check()
    await call("resource_delete", id=resource["id"])
