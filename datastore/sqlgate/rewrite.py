"""The checked tokens → the text that runs: canonical, names of tables qualified, ``_full_text`` spelt out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from datastore.postgres.quoting import identifier
from datastore.sqlgate.refusal import Doubtful, refused
from datastore.sqlgate.structure import FULL_TEXT, Structure
from datastore.sqlgate.tokens import NAME, OPERATOR, PARAMETER, Token
from datastore.tables.reading import fulltext
from datastore.tables.schema import TableSchema


@dataclass(frozen=True, slots=True)
class Text:
    """A statement as it will run, but for the types of its parameters."""

    pieces: tuple[str, ...]
    parameters: tuple[int, ...]
    """Which of the pieces are parameters."""

    def sql(self, types: Sequence[str] = (), constants: Sequence[str] = ()) -> str:
        """The statement. With ``types`` (by number of the parameter) each value comes as a text, and gets its type by
        a cast: PostgreSQL's own input functions read it, as they read a string constant in its place. ``constants``
        of SQL take the places of the parameters, for COPY, which has none."""
        if not types:
            return " ".join(self.pieces)
        pieces = list(self.pieces)
        for at in self.parameters:
            number = int(pieces[at][1:]) - 1
            value = constants[number] if constants else pieces[at]
            pieces[at] = f'CAST ( {value} :: pg_catalog."text" AS {types[number]} )'
        return " ".join(pieces)


def rewrite(
    tokens: list[Token], structure: Structure, tree: exp.Expr, tables: dict[int, tuple[exp.Table, TableSchema]]
) -> Text:
    """The text of a statement whose ``tables`` (by the start of the token of their last name) are resolved.

    Raises :class:`ValidationError` ``query``, :class:`Doubtful`.
    """
    pieces = [token.sql for token in tokens]
    for at in structure.names:
        pieces[at] = identifier(tokens[at].text)
    two_part: set[tuple[str, str]] = set()
    for chain in structure.relations:
        last = chain.parts[-1]
        if tokens[last].start not in tables:
            continue  # a common table expression
        node, schema = tables[tokens[last].start]
        for at in range(chain.parts[0], last):
            pieces[at] = ""
        written = tokens[last].text
        aliased = node.args.get("alias") is not None and bool(node.alias)
        pieces[last] = schema.sql_name
        if not aliased and written != schema.resource_id:
            pieces[last] += f" AS {identifier(written)}"
        if len(chain.parts) == 2 and not aliased:
            two_part.add((tokens[chain.parts[0]].text, written))
    for chain in structure.columns:
        star = tokens[chain.end - 1].kind == OPERATOR
        if len(chain.parts) == 3 or (star and len(chain.parts) == 2):
            first, second = chain.parts[:2]
            if (tokens[first].text, tokens[second].text) in two_part:
                pieces[first] = pieces[first + 1] = ""
            elif len(chain.parts) == 3:
                raise refused(f'missing FROM-clause entry for table "{tokens[second].text}"')
    if any(token.text == FULL_TEXT and token.kind == NAME for token in tokens):
        _spell_out_full_text(tokens, pieces, structure, tree, {id(node): schema for node, schema in tables.values()})
    parameters = tuple(at for at, token in enumerate(tokens) if token.kind == PARAMETER)
    return Text(tuple(pieces), parameters)


def _spell_out_full_text(
    tokens: list[Token],
    pieces: list[str],
    structure: Structure,
    tree: exp.Expr,
    tables: dict[int, TableSchema],
) -> None:
    """Put the search vector in the place of ``_full_text`` wherever it means that of a table."""
    nodes = {node.this.meta.get("start"): node for node in tree.find_all(exp.Column) if node.name == FULL_TEXT}
    for chain in structure.columns:
        last = chain.parts[-1]
        if tokens[last].text != FULL_TEXT or tokens[last].kind != NAME:
            continue
        node = nodes.get(tokens[last].start)
        if node is None:
            continue  # a label
        found = _source(node, tables)
        if found is None:
            continue  # a column of a sub-select
        alias, schema = found
        vector = fulltext.vector(schema.columns, schema.language, identifier(alias))
        label = f" AS {identifier(FULL_TEXT)}" if node.arg_key == "expressions" and _is_select(node.parent) else ""
        for at in range(chain.parts[0], last):
            pieces[at] = ""
        pieces[last] = f"( {vector} ){label}"


def _is_select(node: exp.Expr | None) -> bool:
    return isinstance(node, exp.Select)


def _source(column: exp.Column, tables: dict[int, TableSchema]) -> tuple[str, TableSchema] | None:
    """The table, with its name in the query, whose full text the column is; None if a sub-select gives it."""
    select = column.find_ancestor(exp.Select)
    while select is not None:
        own: list[tuple[str, TableSchema]] = []
        others = False
        for item in _from_items(select):
            schema = tables.get(id(item))
            if column.table and item.alias_or_name != column.table:
                continue
            if schema is None:
                others = True
                continue
            alias = item.args.get("alias")
            if alias is not None and alias.args.get("columns"):
                raise refused(f"{FULL_TEXT} of a table whose columns are renamed is not supported")
            own.append((item.alias_or_name, schema))
        if len(own) > 1:
            raise refused(f'column reference "{FULL_TEXT}" is ambiguous')
        if own:
            return own[0]
        if others:
            return None
        select = select.find_ancestor(exp.Select)
    return None


def _from_items(select: exp.Select) -> list[exp.Expr]:
    """The tables and sub-selects in FROM, those in parentheses too."""
    from_ = select.args.get("from_")
    items = [] if from_ is None else [from_.this]
    items += [join.this for join in select.args.get("joins") or ()]
    items += select.args.get("laterals") or ()
    found: list[exp.Expr] = []
    while items:
        item = items.pop(0)
        if item is None:
            raise Doubtful("FROM without an item")
        inner = item.this if isinstance(item, exp.Paren | exp.Subquery) else None
        joins = item.args.get("joins") or ()
        items += [join.this for join in joins]
        if isinstance(inner, exp.Table) and not item.alias:
            items.append(inner)
        else:
            found.append(item)
    return found
