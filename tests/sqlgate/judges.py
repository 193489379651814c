"""The judges of the fuzz: PostgreSQL's grammar (pglast) on what was written and on what would run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from pglast import parser

from datastore.sqlgate.allowed import ARRAY_TYPES, FUNCTIONS, OPERATORS, TYPES
from datastore.sqlgate.catalogue import Catalogue

_PLACES = re.compile(r'"(?:location|stmt_len|stmt_location|list_start|list_end|rexpr_list_start|rexpr_list_end)":\d+')
_OF_THE_GRAMMAR = {"btrim", "ltrim", "rtrim", "extract", "overlay", "position", "substring", "timezone", "overlaps",
                   "like_escape", "similar_to_escape", "normalize", "is_normalized", "interval", "xmlexists"}  # fmt: skip
_ALIASES_OF_TYPES = {
    "bpchar",
    "int4",
    "int8",
    "int2",
    "float4",
    "float8",
    "bool",
    "varchar",
    "bit",
    "timetz",
    "timestamptz",
}
_STATEMENT = {"SelectStmt"}
_NODES = {
    "SelectStmt", "ResTarget", "ColumnRef", "String", "A_Star", "FuncCall", "A_Const", "TypeCast", "RangeVar", "alias", "A_Expr",
    "BoolExpr", "SubLink", "RangeSubselect", "RangeFunction", "JoinExpr", "CommonTableExpr", "SortBy", "WindowDef", "GroupingSet",
    "CaseExpr", "CaseWhen", "CoalesceExpr", "MinMaxExpr", "NullTest", "BooleanTest", "A_ArrayExpr", "A_Indirection", "A_Indices",
    "RowExpr", "NamedArgExpr", "CollateClause", "SQLValueFunction", "ParamRef", "List", "GroupingFunc", "ColumnDef",
    "RangeTableSample", "JsonIsPredicate", "JsonObjectConstructor", "Integer", "Float", "TypeName", "Alias", "WithClause",
}  # fmt: skip
_VALUE_FUNCTIONS = re.compile(r"SVFOP_(CURRENT_(DATE|TIME|TIMESTAMP)|LOCALTIME|LOCALTIMESTAMP)(_N)?")


def grammar(sql: str) -> Any | None:
    """The tree of the one statement, without places; None if PostgreSQL's grammar refuses it."""
    try:
        text = _PLACES.sub('"place":0', parser.parse_sql_json(sql))
        tree = json.loads(text, object_hook=_without_place)["stmts"]
    except (parser.ParseError, RecursionError, UnicodeEncodeError):
        return None
    statements = [entry["stmt"] for entry in tree]
    return statements[0] if len(statements) == 1 else None


def _without_place(node: dict[str, Any]) -> dict[str, Any]:
    """A place at the very beginning is left out, so all of them have to go."""
    node.pop("place", None)
    return node


def _walk(node: Any) -> Iterator[tuple[str, Any]]:
    """Every node with its kind."""
    waiting = [node]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            for name, inner in value.items():
                if isinstance(inner, dict | list):
                    if name[:1].isupper() and isinstance(inner, dict):
                        yield name, inner
                    waiting.append(inner)
                    if name in ("typeName", "withClause", "alias", "over") and isinstance(inner, dict):
                        yield name[0].upper() + name[1:], inner


def normalised(tree: Any, tables: dict[tuple[str, ...], str], resolved: bool) -> Any:
    """The tree with every reference to a table as its resource id and the name that it has in the query.

    ``tables`` gives the resource id by the name as written; ``resolved``: the tree is that of what runs.
    """
    for kind, node in list(_walk(tree)):
        if kind != "RangeVar":
            continue
        schema, name = node.get("schemaname"), node["relname"]
        parts = (name,) if schema is None else (schema, name)
        if resolved and schema is not None:
            identity = name
        elif parts in tables:
            identity = tables[parts]  # or a common table expression of that name: the live results tell
        else:
            continue
        node["schemaname"] = "*"
        node["relname"] = identity
        written = name
        node["alias"] = {**node.get("alias", {}), "aliasname": node.get("alias", {}).get("aliasname", written)}
    return tree


def unsafe(tree: Any, relations: frozenset[tuple[str, str]], known: Catalogue) -> str | None:
    """What in the tree of what runs is not on the lists; None if nothing."""
    if set(tree) != _STATEMENT:
        return f"statement {set(tree)}"
    with_names = {node["ctename"] for kind, node in _walk(tree) if kind == "CommonTableExpr"}
    for kind, node in _walk(tree):
        if kind == "SelectStmt" and ("intoClause" in node or "lockingClause" in node):
            return "INTO or FOR UPDATE"
        if kind == "RangeVar":
            name = (node.get("schemaname"), node["relname"])
            if name not in relations and (name[0] is not None or name[1] not in with_names):
                return f"relation {name}"
        elif kind == "FuncCall":
            names = [part["String"]["sval"] for part in node["funcname"]]
            if names[-1] not in FUNCTIONS | _OF_THE_GRAMMAR or names[:-1] not in ([], ["pg_catalog"]):
                return f"function {names}"
        elif kind == "TypeName":
            names = [part["String"]["sval"] for part in node["names"]]
            allowed = TYPES | ARRAY_TYPES | _ALIASES_OF_TYPES
            if names[-1] not in allowed or names[:-1] not in ([], ["pg_catalog"]) or node.get("setof"):
                return f"type {names}"
        elif kind in ("ColumnRef", "A_Indirection"):
            parts = node["fields"][1:] if kind == "ColumnRef" else node["indirection"]
            for part in parts:
                name = part.get("String", {}).get("sval")
                if name in known.functions and name not in FUNCTIONS:
                    return f"attribute {name}"
        elif kind == "A_Expr" and node["kind"] in ("AEXPR_OP", "AEXPR_OP_ANY", "AEXPR_OP_ALL"):
            names = [part["String"]["sval"] for part in node["name"]]
            if len(names) > 1 or names[0] not in OPERATORS:
                return f"operator {names}"
        elif kind == "SQLValueFunction" and not _VALUE_FUNCTIONS.fullmatch(node["op"]):
            return f"function {node['op']}"
        elif kind not in _NODES and kind not in ("Over",) and not _inner(kind, node):
            return f"node {kind}"
    return None


def _inner(kind: str, node: Any) -> bool:
    return kind in ("WithClause", "Alias", "TypeName", "A_Const")
