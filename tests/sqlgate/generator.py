"""Statements for the fuzz: a grammar that is fond of what is forbidden, and mutations of texts and of their tokens."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from datastore.sqlgate import allowed
from tests.sqlgate.analyses import ANALYSES
from tests.sqlgate.attacks import ATTACKS

USUAL = [text for text in re.split(r"\n(?! )", ANALYSES.strip()) if text]
CORPUS = USUAL + [text for cases in ATTACKS.values() for _, text in cases if 0 < len(text) < 1000]

TABLES = ["{public}", "{birds}", "{places}", "{private_a}", "{private_b}", "{draft_a}", "{deleted_a}", "pg_class",
          "datastore.users", "c1", "c2", "{public_alias}", "{private_a_alias}", "{birds} AS b", "{public} t"]  # fmt: skip
COLUMNS = ["name", "n", "code", "eggs", "mass", "seen", "tags", "more", "_id", "_full_text", "b.name", "t.code", "t.n",
           "year", "type", "x", "t", "b", "t.pg_sleep", "(t).code", '"name"', "NAME", "value", "first"]  # fmt: skip
FUNCTIONS = ["abs", "lower", "count", "coalesce", "max", "string_agg", "length", "left", "upper", "to_json", "md5", "unnest",
             "greatest", "pg_sleep", "query_to_xml", "set_config", "current_setting", "pg_catalog.abs", "pg_catalog.pg_sleep",
             '"lower"', '"Lower"', "row_to_json", "array_agg", "position", "trim", "date_trunc", "concat", "now", "version",
             "ts_stat", "pg_read_file", "substring", "lo_import", "json_agg", "over", "filter", "row", "cast", "regclass"]  # fmt: skip
ALLOWED_FUNCTIONS = sorted(allowed.FUNCTIONS - {"row"})
TYPES = ["int", "text", "numeric(10, 2)", "date", "timestamp with time zone", "double precision", "json", "regclass", "_text",
         "text[]", '"text"', "pg_catalog.int4", "varchar(3)", "interval", "{private_a}", "time", "bit(3)", "char", '"char"',
         "regproc", "xml", "tsvector", "interval day to second"]  # fmt: skip
OPERATORS = ["+", "-", "*", "/", "%", "^", "=", "<>", "!=", "<", ">=", "||", "~", "!~*", "->", "->>", "#>>", "@>", "&&", "@@",
             "<->", " AND ", " OR ", " IS DISTINCT FROM ", " LIKE ", " NOT ILIKE ", " SIMILAR TO ", " IN ", "::int + ",
             "<@", "?", "?|", "-|-", "<<", "*-", "=-", "@-", "||-", " AT TIME ZONE ", " COLLATE \"C\" || ", " OVERLAPS "]  # fmt: skip
CONSTANTS = ["1", "0", "-1", "1.5", ".5", "1.", "1e3", "'a'", "'it''s'", "''", "E'\\n'", "$$x$$", "$q$ ' $q$", "NULL", "true", "b'1'",
             "x'1F'", "'a\\'", "U&'x'", "'2024-01-01'", "date '2024-01-01'", "interval '1 day'", "$1", "'{1,2}'", "'pg_class'",
             "current_date", "current_user", "ARRAY[1, 2]", "ARRAY[]::int[]", "'a'\n'b'", "'a' 'b'"]  # fmt: skip
NASTY = ["'", '"', "$$", "$x$", "\\", "--", "/*", "*/", ";", "\u00a0", "\u2003", "\n", "\r", "\t", "\x0b", "\x0c", "\x1c", "E'", "e'",
         "U&'", 'u&"', "N'", "b'", "$1", "$", "@", "#", "::", ":", ":=", "..", ".", ",", "(", ")", "[", "]", "{", "}", "`", "?",
         "\u0130", "\u017f", "ſelect", "K", "é", "﹤", "＇", "0x1", "1_0", "1a", "{{", "{%", "%}", "<!--", "\ufeff", "\u200b", "=>"]  # fmt: skip
PIECES = ["SELECT", "FROM", "WHERE", "AS", "WITH", "UNION", "ALL", "ONLY", "INTO", "FOR UPDATE", "TABLE", "LATERAL", "ROWS",
          "VALUES", "JOIN", "ON", "USING", "OVER", "FILTER", "WITHIN", "GROUP", "BY", "ORDER", "NOT", "NULL", "IS", "CASE",
          "WHEN", "END", "CAST", "EXTRACT", "OPERATOR", "VARIADIC", "ORDINALITY", "TABLESAMPLE", "RECURSIVE", "MATERIALIZED",
          "DISTINCT", "LIMIT", "OFFSET", "FETCH", "ROW", "SYSTEM", "COLLATE", "AT", "TIME", "ZONE", "INTERVAL", "PRECEDING"]  # fmt: skip
_HARMLESS = re.compile(
    r"private|draft|deleted|pg_(?!catalog\.[ai])|datastore|reg|xml|current_user|U&|'a' 'b'|set_config|setting|version|ts_stat|lo_"
)
_SPLIT = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\{\w+\}|\w+|\s+|[-+*/<>=~!@#%^&|`?]+|::|.", re.DOTALL)


def statement(random: Random) -> str:
    """A statement."""
    kind = random.random()
    if kind < 0.2:
        return _Grammar(random, harmless=True).query(0)
    if kind < 0.45:
        text = _Grammar(random).query(0)
    else:
        text = random.choice(USUAL if kind < 0.7 else CORPUS)
        for _ in range(random.choice((1, 1, 1, 2, 3, 5))):
            text = _mutated(text, random)
    if random.random() < 0.15:
        text = _damaged(text, random)
    return text


def _mutated(text: str, random: Random) -> str:
    """Change a token or two."""
    tokens = _SPLIT.findall(text) or ["SELECT"]
    at = random.randrange(len(tokens))
    choice = random.randrange(10)
    if choice == 0:
        del tokens[at : at + random.choice((1, 1, 2))]
    elif choice == 1:
        tokens.insert(at, tokens[at] if tokens else "1")
    elif choice == 2:
        other = random.randrange(len(tokens))
        tokens[at], tokens[other] = tokens[other], tokens[at]
    elif choice == 3:
        tokens[at : at + 1] = [random.choice(_pool(random))]
    elif choice == 4:
        tokens.insert(at, f" {random.choice(_pool(random))} ")
    elif choice == 5:
        word = tokens[at]
        tokens[at] = random.choice((word.upper(), word.lower(), word.title(), f'"{word}"'))
    elif choice == 6:
        tokens.insert(at, random.choice((" ", "\n", "/* x */", "--x\n", "/* /* */ */", "\t")))
    elif choice == 7:
        piece = _SPLIT.findall(random.choice(CORPUS))
        start = random.randrange(len(piece))
        tokens[at:at] = piece[start : start + random.randrange(1, 12)]
    elif choice == 8:
        end = min(len(tokens), at + random.randrange(1, 8))
        tokens[at:end] = ["(", *tokens[at:end], ")"]
    else:
        tokens[at:at] = [random.choice(NASTY)]
    return "".join(tokens)


def _pool(random: Random) -> list[str]:
    return random.choice((TABLES, COLUMNS, FUNCTIONS, TYPES, OPERATORS, CONSTANTS, PIECES))


def _damaged(text: str, random: Random) -> str:
    """Change some characters."""
    for _ in range(random.choice((1, 1, 2, 4))):
        at = random.randrange(len(text) + 1)
        text = text[:at] + random.choice(("", random.choice(NASTY))) + text[at + random.choice((0, 0, 1)) :]
    return text


def _words(words: list[str], harmless: bool) -> list[str]:
    return [word for word in words if not _HARMLESS.search(word)] if harmless else words


class _Grammar:
    """``harmless``: of what the gate allows, mostly."""

    def __init__(self, random: Random, harmless: bool = False) -> None:
        self.random = random
        self.harmless = harmless
        self.pick = random.choice
        self.tables, self.columns, self.types, self.constants = (
            _words(words, harmless) for words in (TABLES, COLUMNS, TYPES, CONSTANTS)
        )
        self.functions = ALLOWED_FUNCTIONS if harmless else FUNCTIONS
        self.attributes = ["name", "lower", "x"] if harmless else ["name", "pg_sleep", "lower", "regclass", "x"]
        self.ends = [" LIMIT 3", " OFFSET 1", " FETCH FIRST ROW ONLY", " LIMIT ALL", ""]
        self.orders = ["", " DESC", " NULLS FIRST"]
        self.records = ["", " AS f", " AS f(a)", " WITH ORDINALITY AS f(a, n)", " AS f(a int, b text)"]
        self.names = ["c1", "c2", "x", "count"]
        if not harmless:
            self.ends.append(" FOR UPDATE")
            self.orders.append(" USING <")
            self.records.append(" AS f(a int, b regclass)")
            self.names += ["{private_a}", "pg_class"]

    def chance(self, likely: float) -> bool:
        return self.random.random() < likely

    def query(self, depth: int) -> str:
        text = self.select(depth)
        if depth < 3 and self.chance(0.15):
            text += self.pick((" UNION ", " UNION ALL ", " EXCEPT ", " INTERSECT ")) + self.select(depth + 1)
        if depth < 3 and self.chance(0.2):
            name = self.pick(self.names)
            columns = self.pick(("", "(a)", " (a, b)"))
            recursive = self.pick(("", "", "RECURSIVE "))
            text = f"WITH {recursive}{name}{columns} AS ({self.query(depth + 1)}) {text}"
        return text

    def select(self, depth: int) -> str:
        items = ", ".join(self.item(depth) for _ in range(self.random.randrange(1, 4)))
        text = f"SELECT {self.pick(('', '', 'DISTINCT '))}{items}"
        if self.chance(0.85):
            text += f" FROM {self.sources(depth)}"
        if self.chance(0.4):
            text += f" WHERE {self.expression(depth + 1)}"
        if self.chance(0.2):
            text += " GROUP BY " + self.pick(("1", "name", f"ROLLUP ({self.expression(3)})", "GROUPING SETS ((1), ())"))
        if self.chance(0.1):
            text += f" HAVING {self.expression(depth + 1)}"
        if self.chance(0.2):
            text += f" ORDER BY {self.expression(depth + 1)}{self.pick(self.orders)}"
        if self.chance(0.2):
            text += self.pick(self.ends)
        return text

    def item(self, depth: int) -> str:
        text = self.expression(depth + 1)
        return text + self.pick(("", "", "", " AS x", ' "X y"', " AS select", " year", " AS count"))

    def sources(self, depth: int) -> str:
        text = self.source(depth)
        while self.chance(0.25):
            text += self.pick((
                f", {self.source(depth)}",
                f" JOIN {self.source(depth)} ON {self.expression(3)}",
                f" LEFT JOIN {self.source(depth)} USING (name)",
                f" CROSS JOIN {self.source(depth)}",
                f" NATURAL JOIN {self.source(depth)}",
            ))  # fmt: skip
        return text

    def source(self, depth: int) -> str:
        choice = self.random.random()
        if choice < 0.6 or depth > 2:
            return self.pick(self.tables) + self.pick(
                ("", "", "", " AS t", " b", " AS t(a, b)", " TABLESAMPLE SYSTEM (50)")
            )
        if choice < 0.75:
            return f"{self.pick(('', 'LATERAL '))}({self.query(depth + 1)}) {self.pick(('AS t', 'b', 'AS t(a)', ''))}"
        if choice < 0.9:
            call = f"{self.pick(self.functions)}({self.arguments(depth)})"
            return call + self.pick(self.records)
        return f"({self.sources(depth + 1)}){self.pick(('', ' AS j'))}"

    def after(self, expression: Callable[[], str]) -> str:
        """What does not belong behind a call."""
        return "" if self.harmless else f" {expression()}"

    def arguments(self, depth: int) -> str:
        return ", ".join(self.expression(depth + 1) for _ in range(self.random.randrange(0, 3)))

    def expression(self, depth: int) -> str:
        if depth > 3 or self.chance(0.35):
            return self.pick(self.columns) if self.chance(0.6) else self.pick(self.constants)

        def e() -> str:
            inner = self.expression(depth + 1)
            return f"({inner})" if self.harmless and " " in inner and self.chance(0.8) else inner

        choice = self.random.randrange(18)
        if choice < 4:
            return f"{e()}{self.pick(('', ' '))}{self.pick(OPERATORS)}{self.pick(('', ' '))}{e()}"
        if choice < 7:
            suffix = self.pick(
                ("", "", "", f" FILTER (WHERE {e()})", f" OVER (ORDER BY {e()})", " OVER w", self.after(e))
            )
            return f"{self.pick(self.functions)}{self.pick(('', ' '))}({self.arguments(depth)}){suffix}"
        shapes: tuple[Callable[[], str], ...] = (
            lambda: f"({e()})",
            lambda: f"CAST({e()} AS {self.pick(self.types)})",
            lambda: f"{e()}::{self.pick(self.types)}",
            lambda: f"({e()}).{self.pick(self.attributes)}",
            lambda: f"(SELECT {e()})" if depth > 1 else f"({self.query(depth + 2)})",
            lambda: f"EXISTS ({self.query(depth + 2)})",
            lambda: f"{e()} IN ({self.query(depth + 2)})",
            lambda: f"ARRAY({self.query(depth + 2)})",
            lambda: f"CASE WHEN {e()} THEN {e()} ELSE {e()} END",
            lambda: f"extract({self.pick(('year', 'epoch', 'x'))} FROM {e()})",
            lambda: f"substring({e()} FROM {e()} FOR {e()})",
            lambda: f"trim({self.pick(('', 'BOTH ', 'LEADING '))}{e()} FROM {e()})",
            lambda: f"position({e()} IN {e()})",
            lambda: f"{e()}[{self.pick(('1', '1:2', ':', e()))}]",
            lambda: f"ARRAY[{self.arguments(depth)}]",
            lambda: f"({e()}, {e()})",
            lambda: f"ROW({self.arguments(depth)})",
            lambda: f"{e()} IS {self.pick(('', 'NOT '))}{self.pick(('NULL', 'TRUE', 'UNKNOWN', 'DISTINCT FROM 1'))}",
            lambda: f"{e()} {self.pick(('', 'NOT '))}BETWEEN {e()} AND {e()}",
            lambda: f"NOT {e()}",
            lambda: f"- {e()}",
            lambda: f"{self.pick(self.types)} {self.pick(self.constants)}",
            lambda: f"{e()} = {self.pick(('ANY', 'ALL', 'SOME'))} ({e()})",
            lambda: f"percentile_cont({e()}) WITHIN GROUP (ORDER BY {e()})",
            lambda: f"string_agg(DISTINCT {e()}, ',' ORDER BY {e()})",
            lambda: f"make_interval(days => {e()})",
        )
        return str(self.pick(shapes)())
