"""Runs a statement that the gate let through: PostgreSQL judges it once, enforces always, and builds the records."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import structlog

from datastore.accounts.actor import Actor
from datastore.errors import ValidationError
from datastore.postgres.database import Database
from datastore.postgres.quoting import identifier, literal
from datastore.postgres.translate import message
from datastore.sqlgate.allowed import FUNCTIONS, IMPLICIT_FUNCTIONS, TYPE_KEYWORDS
from datastore.sqlgate.catalogue import Catalogue
from datastore.sqlgate.gate import Decision, Gate, Key, Memory, key
from datastore.sqlgate.records import FURTHER_ROW, as_records, unique
from datastore.sqlgate.refusal import TOO_LONG, UNSUPPORTED, Doubtful, no_function, refused, unreadable
from datastore.sqlgate.sandbox import Sandbox
from datastore.tables.arguments import array_literal
from datastore.tables.schema import Schemas

log = structlog.get_logger(__name__)

LARGEST = 128 * 2**20
"""Largest result."""
BATCH = 128
"""Rows that are fetched at a time."""

_STALE = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.InsufficientPrivilegeError,
)
"""What a statement meets whose tables have changed since it was checked."""
_OUT_OF_ROOM = frozenset({"53000", "53100", "53200", "53400", "54000"})
_QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*\"""")
_CALL = re.compile(r"([a-z_][a-z0-9_]*)\(")


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a statement."""

    fields: list[dict[str, str]]
    """``{id, type}`` of every column, in order; ids are unique."""
    records: bytes
    """A JSON list of objects."""
    truncated: bool
    """There are more records than the service gives."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A statement that the gate and PostgreSQL have looked at."""

    decision: Decision
    sql: str
    fields: list[dict[str, str]]
    casts: tuple[str, ...] = ()
    """The types of the parameters, as targets of a cast."""


class Sql:
    """The statements of one worker."""

    def __init__(self, database: Database, schemas: Schemas) -> None:
        self._settings = database.settings
        self.gate = Gate(database, schemas)
        self.sandbox = Sandbox(database)
        self.memory = Memory(database)

    async def close(self) -> None:
        """Close the connections after the statements in flight."""
        await self.sandbox.close()

    async def run(self, sql: str, values: Sequence[Any], actor: Actor) -> Result:
        """Run a statement as the actor, with values for its parameters ``$1`` and so on.

        Raises :class:`ValidationError` ``query`` or ``params``, :class:`NotAuthorized`, :class:`Unavailable`, and
        :class:`asyncpg.PostgresError` when the server is in trouble.
        """
        at = key(sql, actor)
        known = self.memory.get(at)
        arguments = [_text(value) for value in values]
        try:
            async with asyncio.timeout(2 * self._settings.sql_timeout + 5):
                if isinstance(known, Checked):
                    try:
                        return await self._run_known(known, arguments)
                    except _STALE:
                        self.memory.forget(at)
                return await self._run_new(sql, at, arguments, actor)
        except TimeoutError:
            raise refused(TOO_LONG) from None
        except asyncpg.PostgresError as error:
            raise _translated(error) from None

    async def _run_known(self, checked: Checked, arguments: list[str | None]) -> Result:
        _check_number(checked.decision, arguments)
        async with self.sandbox.transaction(checked.decision.private) as connection:
            return await self._fetch(connection, checked, arguments)

    async def _run_new(self, sql: str, at: Key, arguments: list[str | None], actor: Actor) -> Result:
        generation = self.memory.generation
        decision = await self._decided(sql, actor)
        _check_number(decision, arguments)
        async with self.sandbox.transaction(decision.private) as connection:
            try:
                checked = await self._check(connection, decision, arguments)
            except asyncpg.PostgresSyntaxError:
                raise await self._explained(sql, UNSUPPORTED) from None
            if decision.lasting:
                self.memory.keep(at, decision.keys, checked, generation)
            return await self._fetch(connection, checked, arguments)

    async def _decided(self, sql: str, actor: Actor) -> Decision:
        try:
            return await self.gate.decide(sql, actor)
        except Doubtful as doubt:
            raise await self._explained(sql, str(doubt)) from None

    async def _check(self, connection: asyncpg.Connection, decision: Decision, arguments: list[str | None]) -> Checked:
        """What PostgreSQL makes of the statement: the types of its parameters and columns, and its plan."""
        sql = decision.text.sql()
        prepared = await connection.prepare(sql)
        if types := tuple(_cast(type) for type in prepared.get_parameters()):
            sql = decision.text.sql(types)
        plan = await connection.fetchval(f"EXPLAIN (VERBOSE, FORMAT JSON) {sql}", *arguments)
        self._judge(json.loads(plan)[0]["Plan"], decision, await self.gate.catalogue())
        attributes = prepared.get_attributes()
        names = unique([attribute.name for attribute in attributes])
        shown = [_type_name(attribute) for attribute in attributes]
        fields = [{"id": name, "type": type} for name, type in zip(names, shown, strict=True)]
        wrapped = as_records(sql, names, shown, self._settings.search_rows_max + 1)
        return Checked(decision, wrapped, fields, types)

    def _judge(self, plan: dict[str, Any], decision: Decision, known: Catalogue) -> None:
        """The third judge: what the plan reads and calls must be what the gate saw. Raises what refuses."""
        highest = self._settings.sql_max_cost
        if highest and plan["Total Cost"] > highest:
            raise refused(f"Query is too expensive: its cost is {plan['Total Cost']:.0f}, and {highest:.0f} is allowed")
        for node in _nodes(plan):
            relation = node.get("Relation Name")
            if relation is not None and (node.get("Schema"), relation) not in decision.relations:
                log.error("sql_gate_relation_missed")
                raise unreadable()
            for name in _called(node):
                if name in known.functions and name not in _SHOWN:
                    log.error("sql_gate_function_missed", function=name)
                    raise no_function(name)

    @asynccontextmanager
    async def opened(
        self, sql: str, values: Sequence[Any], actor: Actor
    ) -> AsyncIterator[tuple[asyncpg.Connection, list[dict[str, str]], str]]:
        """A statement checked as :meth:`run` checks it, to be read by COPY: a connection in a transaction of one
        snapshot, the ``{id, type}`` of the columns, and the statement, its values as constants in it.

        Raises what :meth:`run` raises, also for what goes wrong while it is read.
        """
        arguments = [_text(value) for value in values]
        if any("\0" in value for value in arguments if value is not None):
            raise ValidationError({"params": ["a text cannot hold a NUL character"]})
        try:
            decision = await self._decided(sql, actor)
            _check_number(decision, arguments)
            async with self.sandbox.transaction(decision.private, "repeatable_read") as connection:
                try:
                    checked = await self._check(connection, decision, arguments)
                except asyncpg.PostgresSyntaxError:
                    raise await self._explained(sql, UNSUPPORTED) from None
                constants = ["NULL" if value is None else literal(value) for value in arguments]
                yield connection, checked.fields, decision.text.sql(checked.casts, constants)
        except asyncpg.PostgresError as error:
            raise _translated(error) from None

    async def _fetch(self, connection: asyncpg.Connection, checked: Checked, arguments: list[str | None]) -> Result:
        highest = self._settings.search_rows_max
        rows: list[bytes] = []
        size = 0
        cursor = await connection.cursor(checked.sql, *arguments)
        while batch := await cursor.fetch(BATCH):
            for record in batch:
                row = record[0]
                if row is None:
                    raise refused(f"a record is longer than {FURTHER_ROW} bytes")
                size += len(row)
                rows.append(row)
            if size > LARGEST:
                raise refused(f"the result is larger than {LARGEST} bytes: ask for fewer records or columns")
            if len(batch) < BATCH:
                break
        return Result(checked.fields, b"[" + b",".join(rows[:highest]) + b"]", len(rows) > highest)

    async def _explained(self, sql: str, doubt: str) -> ValidationError:
        """Why a statement was refused that the gate does not understand: PostgreSQL's syntax error, if it has one.

        In a transaction that has failed already, PostgreSQL reads a statement by its grammar and goes no further.
        """
        grammar: str | None = None
        async with self.sandbox.transaction(frozenset()) as connection:
            try:
                async with connection.transaction():
                    await _fail(connection)
                    await connection.prepare(sql)
            except asyncpg.PostgresSyntaxError as error:
                grammar = message(error)
            except asyncpg.PostgresError:
                pass
        return refused(grammar or doubt)


_SHOWN = FUNCTIONS | IMPLICIT_FUNCTIONS | TYPE_KEYWORDS


async def _fail(connection: asyncpg.Connection) -> None:
    """Let the transaction fail."""
    try:
        await connection.execute("SELECT 1 / 0")
    except asyncpg.DivisionByZeroError:
        return


def _check_number(decision: Decision, arguments: Sequence[str | None]) -> None:
    if len(arguments) != decision.parameters:
        raise ValidationError({"params": [f"the query has {decision.parameters} parameters, not {len(arguments)}"]})


def _text(value: Any) -> str | None:
    """A JSON value as the text that PostgreSQL's input functions read."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return array_literal([_text(member) for member in value])
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _cast(type: asyncpg.Type) -> str:
    name = type.name
    if type.schema != "pg_catalog":
        raise refused("a parameter has a type that is not supported")
    return f"pg_catalog.{identifier(name[:-2])}[]" if name.endswith("[]") else f"pg_catalog.{identifier(name)}"


def _type_name(attribute: asyncpg.Attribute) -> str:
    """The name of a column's type as search reports it: ``_text`` for an array of texts."""
    name: str = attribute.type.name
    if attribute.type.kind == "composite":
        return "record"
    return f"_{name[:-2]}" if name.endswith("[]") else name


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    waiting = [plan]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.get("Plans", ())


def _called(node: dict[str, Any]) -> Iterator[str]:
    """The names of functions in the expressions of a node of a plan."""
    waiting: list[Any] = [value for name, value in node.items() if name != "Plans"]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, str) and "(" in value:
            for found in _CALL.finditer(_QUOTED.sub("", value)):
                yield found[1]


def _translated(error: asyncpg.PostgresError) -> Exception:
    """The error as a client may see it. Raises ``error`` itself if the server is the reason."""
    code = error.sqlstate or "XX000"
    if isinstance(error, asyncpg.QueryCanceledError):
        return refused(TOO_LONG)
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        function = re.fullmatch(r"permission denied for function (.+)", message(error))
        return no_function(function[1]) if function else unreadable()
    if code in _OUT_OF_ROOM or "invalid memory alloc" in message(error):
        return refused(f"Query needs too much room: {message(error)}")
    if code[:2] in ("08", "40", "57", "58") or code in ("53300", "XX001", "XX002"):
        raise error
    return refused(message(error))
