"""Functions, sequences and triggers: what happens to a record before it is stored."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import msgspec
from pydantic import BeforeValidator, Field

from datastore.accounts.permissions import require_login, require_sysadmin
from datastore.actions.parameters import (
    MISSING,
    Boolean,
    Integer,
    OfResource,
    Parameters,
    RequiredText,
    Text,
    invalid,
)
from datastore.actions.registry import Call, action, encode
from datastore.actions.tables.access import check_update, writable
from datastore.catalog.datasets.resource_rows import find_resource
from datastore.errors import StructureError, ValidationError
from datastore.postgres.database import Transaction
from datastore.tables.definition import sequences
from datastore.tables.functions import plpgsql as functions
from datastore.tables.functions import triggers
from datastore.tables.schema import TableSchema, Trigger

_WHEN = ("before insert or update",)
_FOR_EACH = ("row",)
_TEXT_LIKE = (str, int, float, Decimal)
_NOT_TEXT = "Must be a Unicode string value"


def _name(value: Any) -> str:
    if value is None or value == "":
        raise invalid(MISSING)
    if not isinstance(value, str):
        raise invalid(_NOT_TEXT)
    return value


def _objects(parameter: str, value: Any) -> list[dict[str, Any]] | None:
    """A list of objects, or JSON text of one. Raises :class:`StructureError` for anything else."""
    if value is None or value == "":
        return None
    decoded = value
    if isinstance(value, str):
        try:
            decoded = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            decoded = None
    if not isinstance(decoded, list) or not all(isinstance(member, dict) for member in decoded):
        raise StructureError(f"{parameter} has to be a list of dicts", {parameter: value})
    return decoded


class _Members:
    """Reads the keys of a list's objects; the complaints stand in a list parallel to it."""

    def __init__(self, parameter: str, members: list[dict[str, Any]]) -> None:
        self._parameter = parameter
        self._errors: list[dict[str, list[str]]] = [{} for _ in members]

    def text(self, number: int, member: dict[str, Any], key: str) -> str:
        """A string that has to be there."""
        value = member.get(key)
        if value is None or value == "":
            self._errors[number][key] = [MISSING]
        elif not isinstance(value, str):
            self._errors[number][key] = [_NOT_TEXT]
        return str(value)

    def texts(self, number: int, member: dict[str, Any], key: str) -> list[str]:
        """A list of texts; a number counts as its text, null as an empty list."""
        values = member[key] if member[key] is not None else []
        if not isinstance(values, list) or not all(isinstance(value, _TEXT_LIKE) for value in values):
            self._errors[number][key] = ["Must be a list of texts"]
            return []
        return [value if isinstance(value, str) else encode(value).decode() for value in values]

    def word(self, number: int, member: dict[str, Any], key: str, choices: tuple[str, ...]) -> str:
        """One of the words; the first one if none is given."""
        value = member.get(key)
        if value is None or value == "":
            return choices[0]
        if value not in choices:
            self._errors[number][key] = [f"Value must be one of {list(choices)}"]
        return str(value)

    def check(self) -> None:
        if any(self._errors):
            raise ValidationError({self._parameter: self._errors})


def trigger_list(value: Any) -> list[dict[str, Any]] | None:
    """The ``triggers`` parameter of datastore_create, with defaults filled: ``{function, when, for_each}`` each, and
    ``arguments`` where they are given.

    Raises :class:`StructureError` for what is no list of objects, :class:`ValidationError` ``triggers``.
    """
    members = _objects("triggers", value)
    if members is None:
        return None
    read = _Members("triggers", members)
    found = [
        {
            "function": read.text(number, member, "function"),
            **({"arguments": read.texts(number, member, "arguments")} if "arguments" in member else {}),
            "when": read.word(number, member, "when", _WHEN),
            "for_each": read.word(number, member, "for_each", _FOR_EACH),
        }
        for number, member in enumerate(members)
    ]
    read.check()
    return found


def as_trigger(member: dict[str, Any]) -> Trigger:
    """A member of :func:`trigger_list` as the engine takes it."""
    return Trigger(member["function"], tuple(member.get("arguments", ())))


def _argument_list(value: Any) -> list[functions.Argument]:
    members = _objects("arguments", value) or []
    read = _Members("arguments", members)
    found = [
        functions.Argument(
            read.text(number, member, "argname"),
            read.text(number, member, "argtype"),
            read.word(number, member, "argmode", functions.MODES),
        )
        for number, member in enumerate(members)
    ]
    read.check()
    return found


Name = Annotated[str, BeforeValidator(_name)]


class DatastoreFunctionCreate(Parameters):
    """A function in PL/pgSQL."""

    name: Name = Field(description="Name of the function.")
    or_replace: Boolean = Field(False, description="Replace the function of this name and arguments, if there is one.")
    arguments: Annotated[list[functions.Argument], BeforeValidator(_argument_list)] = Field(
        [], description="Arguments: a list of `{argname, argtype, argmode}`, the mode in, out or inout."
    )
    rettype: Text = Field(
        None, description="Type of the result: `trigger` for triggers; void if not given and no argument is an output."
    )
    definition: Name = Field(description="Body in PL/pgSQL: `BEGIN … END;`.")


class DatastoreFunctionDelete(Parameters):
    """Which function to delete."""

    name: Name = Field(description="Name of the function.")
    if_exists: Boolean = Field(False, description="Do not complain if there is none.")


class DatastoreSequenceCreate(Parameters):
    """A sequence of numbers."""

    name: Name = Field(description="Name of the sequence.")
    if_not_exists: Boolean = Field(False, description="Do not complain if there is one; `last_value` applies to it.")
    last_value: Integer = Field(None, description="The next number is one more than this; 1 in a new sequence without.")


class DatastoreSequenceDelete(Parameters):
    """Which sequence to delete."""

    name: Name = Field(description="Name of the sequence.")
    if_exists: Boolean = Field(False, description="Do not complain if there is none.")


class DatastoreSequenceNext(Parameters):
    """Which sequence to take a number from."""

    name: Name = Field(description="Name of the sequence.")


class DatastoreRunTriggers(OfResource):
    """Whose triggers to run."""

    resource_id: RequiredText = Field(description="The resource; `id` means the same.")


class DatastoreMakePrivate(OfResource):
    """Which resource."""

    resource_id: RequiredText = Field(description="The resource; `id` means the same.")


class DatastoreMakePublic(OfResource):
    """Which resource."""

    resource_id: RequiredText = Field(description="The resource; `id` means the same.")


@action(DatastoreFunctionCreate)
async def datastore_function_create(call: Call, parameters: DatastoreFunctionCreate) -> None:
    """Make a function, to be named in `triggers` of datastore_create. Sysadmins only.

    It runs as a role that can read and write the rows of tables and nothing else, wherever it is used.
    """
    require_sysadmin(call.actor, "datastore_function_create")
    has_output = any(argument.mode != "in" for argument in parameters.arguments)
    result = parameters.rettype or (None if has_output else "void")

    async def work(tx: Transaction) -> None:
        await functions.create_function(
            tx, parameters.name, parameters.definition, parameters.arguments, result, parameters.or_replace
        )

    await call.write(work)


@action(DatastoreFunctionDelete)
async def datastore_function_delete(call: Call, parameters: DatastoreFunctionDelete) -> None:
    """Delete a function that no trigger uses. Sysadmins only."""
    require_sysadmin(call.actor, "datastore_function_delete")
    await call.write(lambda tx: functions.delete_function(tx, parameters.name, parameters.if_exists))


@action(DatastoreSequenceCreate)
async def datastore_sequence_create(call: Call, parameters: DatastoreSequenceCreate) -> None:
    """Make a sequence, from which functions take numbers by `nextval('name')`. Sysadmins only."""
    require_sysadmin(call.actor, "datastore_sequence_create")
    await call.write(
        lambda tx: sequences.create_sequence(tx, parameters.name, parameters.if_not_exists, parameters.last_value)
    )


@action(DatastoreSequenceDelete)
async def datastore_sequence_delete(call: Call, parameters: DatastoreSequenceDelete) -> None:
    """Delete a sequence. Sysadmins only."""
    require_sysadmin(call.actor, "datastore_sequence_delete")
    await call.write(lambda tx: sequences.delete_sequence(tx, parameters.name, parameters.if_exists))


@action(DatastoreSequenceNext)
async def datastore_sequence_next(call: Call, parameters: DatastoreSequenceNext) -> int:
    """Take the next number of a sequence. Sysadmins only."""
    require_sysadmin(call.actor, "datastore_sequence_next")
    return await call.write(lambda tx: sequences.next_value(tx, parameters.name))


@action(DatastoreRunTriggers)
async def datastore_run_triggers(call: Call, parameters: DatastoreRunTriggers) -> int:
    """Run the triggers of a table on every row it has, as if each were updated; gives the number of rows.

    All rows or, if a trigger refuses one, none. Sysadmins only.
    """
    require_sysadmin(call.actor, "datastore_run_triggers")

    async def work(table: TableSchema) -> int:
        return await call.write(lambda tx: triggers.run_triggers(tx, table))

    rows = await writable(call, parameters.resource_id, True, "datastore_run_triggers", work)
    call.services.maintenance.touch(parameters.resource_id)
    return rows


@action(DatastoreMakePrivate)
async def datastore_make_private(call: Call, parameters: DatastoreMakePrivate) -> None:
    """Accepted for old clients, and without effect: who may read a table is a matter of its dataset."""
    await _check_resource(call, parameters.resource_id, "datastore_make_private")


@action(DatastoreMakePublic)
async def datastore_make_public(call: Call, parameters: DatastoreMakePublic) -> None:
    """Accepted for old clients, and without effect: who may read a table is a matter of its dataset."""
    await _check_resource(call, parameters.resource_id, "datastore_make_public")


async def _check_resource(call: Call, resource_id: str, action_name: str) -> None:
    """The resource is there, and the actor may change it."""
    require_login(call.actor, action_name)
    _, access = await find_resource(call.services.database.owner, resource_id)
    check_update(call, access, resource_id, action_name)
