"""Looking at tables as a whole: datastore_aggregate, datastore_stats."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from datastore.actions.freshness import moves
from datastore.actions.parameters import Boolean, Integer, KnownOnly, Natural, Strings, invalid, one_of
from datastore.actions.registry import Call, RawJson, action, encode
from datastore.actions.tables.access import readable
from datastore.actions.tables.selection import Selection
from datastore.errors import ValidationError
from datastore.tables.analysis import aggregate, groups, measures, statistics
from datastore.tables.reading import search
from datastore.tables.schema import TableSchema

_SELECTED = ("filters", "q", "full_text", "similar", "plain", "websearch", "language")
_UNITS = "|".join(groups.UNITS)
_FUNCTIONS = ", ".join(f"`{name}`" for name in measures.FUNCTIONS)


class _Selection(Selection, KnownOnly):
    """A selection of rows to look at."""

    def echo(self, *names: str) -> dict[str, Any]:
        """The given ones of the parameters, and of those that select rows."""
        return {name: getattr(self, name) for name in (*_SELECTED, *names) if name in self.model_fields_set}


class DatastoreAggregate(_Selection):
    """How the rows of a table are grouped, and what is computed of each group."""

    group_by: Any = Field(
        None,
        description="Columns, as a list or separated by commas; without any, all rows are one group. Buckets of time: "
        f'`month(time)`, or `{{"column": "time", "bucket": "month"}}` ({_UNITS}). Buckets of numbers: '
        '`{"column": "delay", "width": 10}` (each begins at a multiple of the width), or `"buckets": 20` for so many '
        "of equal width from the least to the greatest number; both show the number at which the bucket begins. "
        '`"as"` gives another name.',
    )
    aggregates: Any = Field(
        None,
        description='What to compute of each group: `count`, `avg(delay)`, `p90(delay)`, or objects `{"function": '
        f'"percentile", "column": "delay", "p": 0.9, "as": "slow"}}`. Functions: {_FUNCTIONS}. NULL counts in `count` '
        "alone; NaN is above every number. The name of the result is `count`, else `avg_delay`. Default `count`.",
    )
    sort: Strings = Field(
        None, description="`name [asc|desc] [nulls first|last]` of columns of the result; default the order of groups."
    )
    limit: Natural = Field(None, description="Most groups to return; lowered to the site's maximum.")
    offset: Integer = Field(None, description="Groups to leave out first.")
    include_total: Boolean = Field(True, description="Also return the number of all groups.")
    records_format: Annotated[str, one_of("objects", "lists", "csv", "tsv")] = Field(
        "objects", description="Shape of the groups: objects, lists, csv or tsv."
    )


@action(DatastoreAggregate, get=True)
async def datastore_aggregate(call: Call, parameters: DatastoreAggregate) -> RawJson:
    """Group the rows of a table and compute figures of each group: counts, sums, averages, medians, percentiles.

    Selects rows as datastore_search does, and answers in its form: one record a group.
    """
    settings = call.settings
    limit = settings.search_rows_default if parameters.limit is None else parameters.limit
    if parameters.offset is not None and parameters.offset < 0:
        raise ValidationError({"offset": [f'invalid value "{parameters.offset}"']})
    request = aggregate.Aggregate(
        match=parameters.match(),
        group_by=parameters.group_by,
        aggregates=parameters.aggregates,
        sort=parameters.sort or None,
        limit=min(limit, settings.search_rows_max),
        offset=parameters.offset or 0,
        include_total=parameters.include_total,
        records_format=parameters.records_format,
        milliseconds=settings.ms_in_timestamp,
    )

    async def compute(schema: TableSchema) -> tuple[TableSchema, search.Found]:
        found = await search.run(call.services.database, schema, aggregate.plan(request, schema))
        values = (parameters.filters, parameters.group_by, parameters.aggregates)
        if call.freshness is not None and not moves(values):
            call.freshness.keep(schema, found.version, call.actor)
        return schema, found

    schema, found = await readable(call, parameters.resource_id, compute)
    head: dict[str, Any] = {
        "resource_id": schema.resource_id,
        "fields": found.fields,
        "limit": request.limit,
        "include_total": request.include_total,
        "records_format": request.records_format,
        **parameters.echo("group_by", "aggregates", "sort", "offset"),
    }
    if found.total is not None:
        head["total"] = found.total
    return RawJson(encode(head)[:-1] + b',"records":' + found.records + b"}")


def _up_to(most: int) -> AfterValidator:
    """A number from 1 to ``most``, or none."""

    def check(value: int | None) -> int | None:
        if value is not None and not 1 <= value <= most:
            raise invalid(f"Must be a number from 1 to {most}")
        return value

    return AfterValidator(check)


class DatastoreStats(_Selection):
    """Which rows and columns of a table to describe by figures."""

    fields: Strings = Field(None, description="The columns to describe; all but `_id` if not given.")
    top: Annotated[Natural, _up_to(100)] = Field(10, description="How many of the most frequent values of each column.")
    buckets: Annotated[Natural, _up_to(100)] = Field(
        20, description="Most buckets of the histograms of numbers, dates and timestamps; all are equally wide."
    )


@action(DatastoreStats, get=True)
async def datastore_stats(call: Call, parameters: DatastoreStats) -> RawJson:
    """Describe the columns of a table, or of a selection of its rows, by figures.

    Of each column: `count` of values, `nulls`, `distinct` values, `top_values`, and where its type has them `min`,
    `max`, `mean`, `stddev` and a `histogram`: `counts[i]` values lie from `edges[i]` on and below `edges[i + 1]`, the
    last edge included. These leave NaN and infinities out. Of more than 100,000 rows `distinct`, `top_values` and
    `histogram` are estimated from a sample, as `estimates` then says; of a whole table with more than 5,000,000 rows
    everything but `total` is. Values longer than 2,000 bytes count as different from all others and are not shown.
    """
    request = statistics.Request(
        match=parameters.match(),
        fields=parameters.fields or None,
        top=parameters.top or 10,
        buckets=parameters.buckets or 20,
        milliseconds=call.settings.ms_in_timestamp,
    )

    async def compute(schema: TableSchema) -> tuple[TableSchema, bytes]:
        return schema, await call.services.statistics.get(schema, request)

    schema, found = await readable(call, parameters.resource_id, compute)
    head = {"resource_id": schema.resource_id, **parameters.echo()}
    return RawJson(encode(head)[:-1] + b"," + found[1:])
