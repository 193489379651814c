"""xlsx: one sheet whose rows PostgreSQL writes as XML; here they are compressed into the archive."""

from __future__ import annotations

import re
import zipfile
from html import escape
from typing import IO, cast

import asyncpg

from datastore.exports.json_text import json_text, plain_text
from datastore.exports.rows import Rows, reference
from datastore.exports.sink import Sink
from datastore.exports.writer import Options, Unfit, Writer, joined, lines
from datastore.exports.xml import escaped, legal, unquoted
from datastore.tables import render
from datastore.tables.schema import Column
from datastore.tables.types import FLOATS, INTEGERS, JSON

MOST_ROWS = 1_048_575
"""Rows of a sheet, beside its header."""
MOST_COLUMNS = 16_384
LONGEST_CELL = 32_767
"""Of a text, in UTF-16 code units."""
MARK = "… [cut]"
"""Ends a text that was too long."""

_DATE, _TIME = 1, 2
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPES}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPES}.worksheet+xml"/>'
    f'<Override PartName="/xl/styles.xml" ContentType="{_TYPES}.styles+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">'
    '<sheets><sheet name="Data" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="rId2" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>',
    "xl/styles.xml": f'<styleSheet xmlns="{_MAIN}">'
    '<numFmts count="2"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd"/>'
    '<numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss.000"/></numFmts>'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
    '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill>'
    '</fills><borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="4"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="165" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>',
}
_SHEET = "xl/worksheets/sheet1.xml"
# Excel reads _x0001_ as the character of that number.
_CODE = re.compile(rb"_(?=x[0-9A-Fa-f]{4}_)")
_CONTROL = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1f]")


async def xlsx(connection: asyncpg.Connection, rows: Rows, options: Options) -> Writer:
    """A workbook with one sheet, ``Data``. Raises :class:`Unfit` for more than fits into it."""
    if len(rows.columns) > MOST_COLUMNS:
        raise Unfit(f"xlsx holds at most {MOST_COLUMNS:,} columns")
    if await connection.fetchval(_too_many(rows)):
        raise Unfit(f"xlsx holds at most {MOST_ROWS:,} rows below its header: use limit and offset, or csv")
    cells = joined(["'<row>'", *(_cell(column, options) for column in rows.columns), "'</row>'"])
    return _Xlsx(rows.select([cells]), [column.name for column in rows.columns])


def _too_many(rows: Rows) -> str:
    """Whether there are more rows than fit."""
    if rows.registry is not None:
        return f"SELECT registry.record_count > {MOST_ROWS} {rows.registry}"
    return rows.aggregate(["true"], f" OFFSET {MOST_ROWS} LIMIT 1")


class _Xlsx(Writer):
    threaded = True

    def __init__(self, query: str, names: list[str]) -> None:
        super().__init__(lines(query))
        self._sink = Sink()
        self._archive = zipfile.ZipFile(cast(IO[bytes], self._sink), "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self._names = names
        self._sheet: IO[bytes] | None = None

    def begin(self) -> bytes:
        for name, text in _PARTS.items():
            self._archive.writestr(name, _HEAD + text)
        self._sheet = self._archive.open(_SHEET, "w")
        names = "".join(
            f'<c t="inlineStr" s="3"><is><t xml:space="preserve">{escape(name, quote=False)}</t></is></c>'
            for name in self._names
        )
        head = (
            f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" '
            'topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
            f"<sheetData><row>{names}</row>\n"
        )
        return self._write(_coded(head.encode()))

    def feed(self, rows: bytes) -> bytes:
        if b"\x01" in rows or b"\x02" in rows:
            rows = b"".join(map(unquoted, rows.splitlines(keepends=True)))
        return self._write(legal(_coded(rows)))

    def end(self) -> bytes:
        text = self._write(b"</sheetData></worksheet>")
        self.abandon()
        return text + self._sink.take()

    def _write(self, xml: bytes) -> bytes:
        if self._sheet is None:
            raise RuntimeError("rows before the beginning")
        self._sheet.write(xml)
        return self._sink.take()

    def abandon(self) -> None:
        if self._sheet is not None:
            self._sheet.close()
        self._archive.close()


def _coded(xml: bytes) -> bytes:
    """Control characters as Excel writes them, and texts that only look like that escaped in the same way."""
    if b"_x" in xml:
        xml = _CODE.sub(b"_x005F_", xml)
    return _CONTROL.sub(lambda match: b"_x%04X_" % ord(match[0]), xml)


def _cell(column: Column, options: Options) -> str:
    """An expression for the cell, never NULL. What a spreadsheet's number cannot hold exactly becomes text."""
    sql = reference(column)
    if column.type == "bool":
        yes, no = ('<c t="b"><v>1</v></c>', '<c t="b"><v>0</v></c>')
        return f"CASE {sql} WHEN true THEN '{yes}' WHEN false THEN '{no}' ELSE '<c/>' END"
    if column.type in INTEGERS:
        return _either(f"length({sql}::text) <= 15", f"{sql}::text", f"{sql}::text")
    if column.type == "numeric":
        return _either(f"length({sql}::text) <= 15 AND {_finite(sql)}", f"{sql}::text", f"{sql}::text")
    if column.type in FLOATS:
        return _either(_finite(sql), f"{sql}::text", f"{sql}::text")
    if column.type == "date":
        # Before that day Excel's calendar has a day too many.
        fits = f"{sql} BETWEEN '1900-03-01' AND '9999-12-31'"
        return _either(fits, f"({sql} - date '1899-12-30')::text", f"{sql}::text", _DATE)
    if column.type == "timestamp":
        fits = f"{sql} >= '1900-03-01' AND {sql} < '10000-01-01'"
        days = f"(extract(epoch FROM {sql})::float8 / 86400 + 25569)::text"
        return _either(fits, days, render.timestamp(sql, options.milliseconds), _TIME)
    if column.type in JSON or column.element is not None or column.type == "record":
        return f"coalesce({_text_cell(json_text(column))}, '<c/>')"
    return f"coalesce({_text_cell(plain_text(column))}, '<c/>')"


def _finite(sql: str) -> str:
    return f"{sql} > '-Infinity' AND {sql} < 'Infinity'"


def _either(fits: str, number: str, text: str, style: int = 0) -> str:
    start = f"'<c s=\"{style}\"><v>'" if style else "'<c><v>'"
    return f"CASE WHEN {fits} THEN {start} || {number} || '</v></c>' ELSE coalesce({_text_cell(text)}, '<c/>') END"


def _text_cell(sql: str) -> str:
    # No text has more code units than bytes in UTF-8. Those beyond the basic plane count twice.
    wide = f"length(regexp_replace({sql}, '[\\u0001-\\uffff]', '', 'g'))"
    room = LONGEST_CELL - len(MARK)
    cut = f"left({sql}, CASE WHEN {wide} > 0 THEN {room // 2} ELSE {room} END) || '{MARK}'"
    fits = f"octet_length({sql}) <= {LONGEST_CELL} OR length({sql}) + {wide} <= {LONGEST_CELL}"
    text = escaped(f"CASE WHEN {fits} THEN {sql} ELSE {cut} END")
    return f"""'<c t="inlineStr"><is><t xml:space="preserve">' || {text} || '</t></is></c>'"""
