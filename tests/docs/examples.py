"""Examples of the documents: found in Markdown, read as the shell reads them, and what came back compared with what is
shown.

Every fenced ``sh`` block with a ``curl`` in it is an example, unless the comment ``<!-- not run -->`` stands before it.
A fenced ``json``, ``csv`` or ``text`` block right behind it is the output of its last command; ``…`` in there stands
for whatever is left out. Keys that are not shown are not looked at. A row of a table that starts with filters and ends
with a number tells how many rows of ``flights`` they find.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

NOT_RUN = "<!-- not run -->"
_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_SHOWN = ("json", "csv", "text")
_COUNTED = re.compile(r"^\| `(?P<filters>[\[{].*[\]}])` \|.*\| (?P<rows>[\d,]+) \|$", re.MULTILINE)
_ASSIGNMENT = re.compile(r"^(?P<name>[A-Z]+)=(?:(?P<value>[\w.-]+)|\$\((?P<command>[^()]+)\))$", re.MULTILINE)
_VARIABLE = re.compile(r"'[^']*'|\$(\w+)")


@dataclass(frozen=True)
class Example:
    """A block of commands, and the output that is shown for the last one."""

    page: Path
    line: int
    commands: str
    shown: str | None
    language: str


def examples(page: Path) -> Iterator[Example]:
    """The examples of a page, in order."""
    text = page.read_text()
    fences = list(_FENCE.finditer(text))
    for index, fence in enumerate(fences):
        before = text[: fence.start()]
        if fence["language"] != "sh" or "curl " not in fence["text"] or before.rstrip().endswith(NOT_RUN):
            continue
        after = fences[index + 1] if index + 1 < len(fences) else None
        shown = after is not None and after["language"] in _SHOWN and not text[fence.end() : after.start()].strip()
        yield Example(
            page,
            before.count("\n") + 1,
            fence["text"],
            after["text"] if after is not None and shown else None,
            after["language"] if after is not None and shown else "",
        )


def counted_filters(page: Path) -> Iterator[tuple[int, str, int]]:
    """The filters of a page's tables, each with its line and the number of rows that it finds."""
    text = page.read_text()
    for row in _COUNTED.finditer(text):
        yield text[: row.start()].count("\n") + 1, row["filters"], int(row["rows"].replace(",", ""))


# --- commands ---------------------------------------------------------------------------------------------------------


@dataclass
class Request:
    """What a ``curl`` would send, and what its output is piped through."""

    url: str = ""
    method: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    data: list[str] = field(default_factory=list)
    in_url: bool = False
    saved: str = ""
    """The file to which the answer goes (-o): there is no output to compare."""
    file: str = ""
    """The file that is sent (``--data-binary @name``)."""
    pipes: list[list[str]] = field(default_factory=list)

    def output(self, text: str) -> str:
        """What is left of the answer after ``head -N`` and ``wc -l``."""
        for pipe in self.pipes:
            match pipe:
                case ["head", count] if count[1:].isdigit():
                    text = "".join(text.splitlines(keepends=True)[: int(count[1:])])
                case ["wc", "-l"]:
                    text = f"{text.count(chr(10))}\n"
                case _:
                    raise ValueError(f"a pipe that the tests do not know: {pipe}")
        return text


def assignments(commands: str) -> Iterator[tuple[str, str | None, str | None]]:
    """The lines ``NAME=value`` and ``NAME=$(command)``: name, value, command."""
    for match in _ASSIGNMENT.finditer(commands):
        yield match["name"], match["value"], match["command"]


def requests(commands: str, variables: Mapping[str, str]) -> Iterator[Request]:
    """The requests that a block of ``curl`` commands sends.

    Raises :class:`ValueError` for anything but ``curl`` with the options known here, and :class:`KeyError` for a
    variable that is not set.
    """
    rest = _ASSIGNMENT.sub("", commands)
    rest = "\n".join(line for line in rest.split("\n") if not line.startswith("#")).replace("\\\n", " ")
    expanded = _VARIABLE.sub(lambda match: variables[match[1]] if match[1] else match[0], rest)
    lexer = shlex.shlex(expanded, posix=True, punctuation_chars="\n|")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
    statement: list[list[str]] = [[]]
    for token in [*lexer, "\n"]:
        if token == "|":
            statement.append([])
        elif token and not token.strip("\n"):
            if statement[0]:
                yield _request(statement[0], statement[1:])
            statement = [[]]
        else:
            statement[-1].append(token)


def _request(command: Sequence[str], pipes: list[list[str]]) -> Request:
    if command[0] != "curl":
        raise ValueError(f"not a curl: {command}")
    found = Request(pipes=pipes)
    words = iter(command[1:])
    for word in words:
        match word:
            case "-s" | "-S" | "-f" | "-sS" | "-N":
                pass
            case "-H":
                name, _, value = next(words).partition(":")
                found.headers[name] = value.strip()
            case "-d" | "--data-binary":
                value = next(words)
                if value.startswith("@"):
                    found.file = value[1:]
                else:
                    found.data.append(value)
            case "--data-urlencode":
                name, equals, value = next(words).partition("=")
                found.data.append(f"{name}={quote(value, safe='')}" if equals else quote(name, safe=""))
            case "-G":
                found.in_url = True
            case "-X":
                found.method = next(words)
            case "-o":
                found.saved = next(words)
            case _ if word.startswith("-"):
                raise ValueError(f"an option of curl that the tests do not know: {word}")
            case _:
                found.url = word
    return _completed(found)


def _completed(request: Request) -> Request:
    # curl takes these characters for patterns that it replaces.
    if re.search(r"[\[\]{}]", request.url):
        raise ValueError(f"curl would not send this address as it stands: {request.url}")
    if request.in_url and request.data:
        request.url += ("&" if "?" in request.url else "?") + "&".join(request.data)
        request.data = []
    if not request.url.isascii() or re.search(r"\s", request.url):
        raise ValueError(f"not an address: {request.url}")
    if request.data or request.file:
        request.headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    request.method = request.method or ("POST" if request.data or request.file else "GET")
    return request


# --- outputs ----------------------------------------------------------------------------------------------------------

_MORE = "…"
_ELLIPSIS = re.compile(
    r"""
    "(?:[^"\\]|\\.)*"  # a text: as it is
    | (?P<value>:\s*…)
    | (?P<members>,?\s*…(?=\s*\}))
    | …
    """,
    re.VERBOSE,
)


def shown_json(text: str) -> Any:
    """JSON in which ``…`` stands for a value, for further members of a list or object, or for a part of a text."""

    def readable(match: re.Match[str]) -> str:
        if match[0][0] == '"':
            return match[0]
        return "" if match["members"] else f': "{_MORE}"' if match["value"] else f'"{_MORE}"'

    return json.loads(_ELLIPSIS.sub(readable, text))


def differences(shown: Any, got: Any, place: str = "") -> list[str]:
    """Where ``got`` is not what is shown, each as ``place: shown, got``."""
    if shown == _MORE:
        return []
    if isinstance(shown, dict) and isinstance(got, dict):
        missing = [f"{place}.{name}: is not there" for name in shown if name not in got]
        pairs = [differences(value, got[name], f"{place}.{name}") for name, value in shown.items() if name in got]
        return missing + [line for lines in pairs for line in lines]
    if isinstance(shown, list) and isinstance(got, list):
        wanted = shown[:-1] if shown and shown[-1] == _MORE else shown
        if len(got) < len(wanted) or (len(got) > len(wanted) and wanted is shown):
            return [f"{place}: {len(wanted)} members are shown, there are {len(got)}"]
        return [
            line for index, value in enumerate(wanted) for line in differences(value, got[index], f"{place}[{index}]")
        ]
    if isinstance(shown, str) and isinstance(got, str) and _MORE in shown:
        return [] if _fits(shown, got) else [f"{place}: {shown!r}, got {got!r}"]
    same = shown == got and isinstance(shown, bool) is isinstance(got, bool)
    return [] if same else [f"{place}: {shown!r}, got {got!r}"]


def text_differences(shown: str, got: str) -> list[str]:
    """As :func:`differences` for text: ``…`` stands for any text, on a line of its own for any lines."""
    return [] if _fits(shown.strip(), got.strip()) else [f"{shown!r}, got {got[:1000]!r}"]


def _fits(shown: str, got: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, shown.split(_MORE))), got, re.DOTALL) is not None
