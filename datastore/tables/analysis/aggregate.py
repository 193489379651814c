"""datastore_aggregate: rows in groups, and figures of each group → one SQL statement → JSON bytes.

:func:`plan` is pure; its plan is run by :func:`datastore.tables.reading.search.run`, as the least role that
may read the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from datastore.errors import ValidationError
from datastore.postgres.quoting import identifier
from datastore.tables import render
from datastore.tables.analysis import groups as grouping
from datastore.tables.analysis import measures as measuring
from datastore.tables.analysis import outputs
from datastore.tables.analysis.outputs import Output
from datastore.tables.arguments import Arguments
from datastore.tables.names import printable
from datastore.tables.reading import matching, search, sorting
from datastore.tables.reading.matching import Match
from datastore.tables.schema import TableSchema

_DEFAULT = ["count"]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """What a client asks for."""

    match: Match = field(default_factory=Match)
    group_by: Any = None
    """Columns and buckets, see :func:`datastore.tables.analysis.groups.group`; without any, all rows are one group."""
    aggregates: Any = None
    """Figures of each group, see :func:`datastore.tables.analysis.measures.measure`; the number of rows without any."""
    sort: Sequence[str] | None = None
    """By names of the result's columns. Groups come in the order of ``group_by`` otherwise, and within equals."""
    limit: int | None = 100
    offset: int = 0
    include_total: bool = True
    """Also count the groups."""
    records_format: str = "objects"
    milliseconds: bool = True


def plan(request: Aggregate, schema: TableSchema) -> search.Plan:
    """Write the statement. Raises :class:`ValidationError` naming the bad parameter."""
    copy_format = request.records_format if request.records_format in search.COPY_FORMATS else None
    arguments = Arguments(inline=copy_format is not None)
    matched = matching.plan(request.match, schema, arguments)
    groups = _groups(request, schema, arguments)
    items = outputs.items(request.aggregates, "aggregates") or _DEFAULT
    measures = [measuring.measure(item, schema, arguments) for item in items]
    columns = [*groups, *measures]
    _check_names(groups, measures)

    source = f"FROM {schema.sql_name} AS t" + (f" WHERE {matched.where}" if matched.where else "")
    with_ = _with(columns, len(groups), source)
    order = _order(request.sort, columns, groups, schema)
    total = "SELECT count(*) FROM groups" if request.include_total else None
    records = None
    if request.limit != 0 or copy_format:
        limit = "" if request.limit is None else f" LIMIT {request.limit}"
        offset = f" OFFSET {request.offset}" if request.offset else ""
        records = _rendered(f"SELECT t.* FROM groups AS t{order}{limit}{offset}", columns, request)
    return search.Plan(
        outputs=tuple(search.Output(output.column, output.sql) for output in columns),
        terms=(),
        limit=request.limit,
        # A COPY is a statement of its own, and so then is the total.
        total=f"{with_}{total}" if total and copy_format else total,
        records=records,
        last=None,
        with_=with_,
        arguments=tuple(arguments.values),
        copy_format=copy_format,
        registry=search.registry_row(schema),
        full_text=bool(matched.queries),
    )


def _groups(request: Aggregate, schema: TableSchema, arguments: Arguments) -> list[Output]:
    groups: list[Output] = []
    for item in outputs.items(request.group_by, "group_by"):
        groups.append(grouping.group(item, schema, arguments, sum(len(group.bounds) for group in groups)))
    return groups


def _check_names(groups: Sequence[Output], measures: Sequence[Output]) -> None:
    if len(groups) + len(measures) > outputs.MAX_OUTPUTS:
        raise ValidationError({"aggregates": [f"more than {outputs.MAX_OUTPUTS} columns"]})
    seen: set[str] = set()
    for parameter, part in (("group_by", groups), ("aggregates", measures)):
        for output in part:
            name = output.column.name
            if name in seen:
                message = f'Two columns of the result are named "{name}": give one another name with "as"'
                raise ValidationError({parameter: [message]})
            seen.add(name)


def _with(columns: Sequence[Output], groups: int, source: str) -> str:
    """The groups as a common table expression, before it the bounds that its expressions refer to."""
    bounds = [sql for output in columns for sql in output.bounds]
    chosen = ", ".join(f"{output.sql} AS {identifier(output.column.name)}" for output in columns)
    by = f" GROUP BY {', '.join(str(number + 1) for number in range(groups))}" if groups else ""
    numbered = ", ".join(f"{sql} AS b{number}" for number, sql in enumerate(bounds))
    before = f"bounds AS (SELECT {numbered} {source}), " if bounds else ""
    return f"WITH {before}groups AS (SELECT {chosen} {source}{by}) "


def _order(sort: Sequence[str] | None, columns: Sequence[Output], groups: Sequence[Output], schema: TableSchema) -> str:
    """By the clauses of ``sort``, then by the groups, so that the order is always the same."""
    result = replace(schema, columns=tuple(output.column for output in columns))
    terms = sorting.parse(sort or (), result)
    names = {column.name for column in result.columns}
    for term in terms:
        if term.name not in names:
            raise ValidationError({"sort": [f'invalid value "{printable(term.name)}"']})
    sorted_by = {term.name for term in terms}
    terms += [sorting.column_term(group.column) for group in groups if group.column.name not in sorted_by]
    return f" ORDER BY {', '.join(term.order for term in terms)}" if terms else ""


def _rendered(page: str, columns: Sequence[Output], request: Aggregate) -> str:
    """The groups as JSON, or as the columns of a COPY."""
    as_text = request.records_format in search.COPY_FORMATS
    cell = render.as_csv if as_text else render.as_json
    cells = [cell(output.column, request.milliseconds, "page") for output in columns]
    if request.records_format == "lists":
        return f"SELECT coalesce(json_agg(json_build_array({', '.join(cells)})), '[]') FROM ({page}) AS page"
    names = [identifier(output.column.name) for output in columns]
    named = ", ".join(f"{cell} AS {name}" for cell, name in zip(cells, names, strict=True))
    rows = f"SELECT {named} FROM ({page}) AS page"
    return rows if as_text else f"SELECT coalesce(json_agg(_row), '[]') FROM ({rows}) AS _row"
