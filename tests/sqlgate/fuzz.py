"""The differential fuzz: ``test_fuzz.py`` for a moment, ``make fuzz`` for long.

Each statement meets three judges: the gate with sqlglot's tree, PostgreSQL's grammar (pglast), and the live server. A
statement that the gate lets through is *unsafe* if the grammar sees anything in it that is not on the lists, or a secret
comes out; it is *unfaithful* if what runs has another tree than what was written.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

from datastore.accounts.actor import Actor
from datastore.actions.services import Services
from datastore.errors import DataStoreError
from datastore.sqlgate import gate
from datastore.sqlgate.catalogue import Catalogue
from datastore.sqlgate.refusal import Doubtful
from datastore.sqlgate.structure import FULL_TEXT
from tests.sqlgate.conftest import World
from tests.sqlgate.generator import statement
from tests.sqlgate.judges import grammar, normalised, unsafe


@dataclass
class Tally:
    """What came of the statements."""

    tried: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    unsafe: list[tuple[str, str]] = field(default_factory=list)
    unfaithful: list[tuple[str, str]] = field(default_factory=list)


class Fuzz:
    """Tries statements on a service."""

    def __init__(self, services: Services, world: World, known: Catalogue) -> None:
        self.services = services
        self.world = world
        self.known = known
        self.tally = Tally()

    def make(self, seed: int) -> tuple[str, str]:
        """A statement, and who asks it."""
        random = Random(seed)
        text = statement(random)
        names = {label: f'"{table}"' for label, table in self.world.tables.items()}
        names |= {f"{label}_dataset": f'"{dataset}"' for label, dataset in self.world.datasets.items()}
        names |= {f"{label}_alias": alias for label, alias in self.world.aliases.items()}
        names |= {"birds": f'"{self.world.birds}"', "places": f'"{self.world.places}"'}
        for label, name in names.items():
            text = text.replace(f"{{{label}}}", name)
        return text, random.choice(list(self.world.actors))

    async def try_one(self, seed: int, live: bool) -> None:
        """Make a statement and let all judges look at it; ``live``: run it as well."""
        text, person = self.make(seed)
        actor = self.world.actors[person]
        self.tally.tried += 1
        if "\0" in text:
            return
        try:
            decision = await self.services.sql.gate.decide(text, actor)
        except (DataStoreError, Doubtful) as refusal:
            self.tally.outcomes["refused"] += 1
            self._look_for_secrets(text, person, str(refusal))
        else:
            self.tally.outcomes["allowed"] += 1
            if FULL_TEXT in text.lower():
                # What is put in its place cannot be compared; to the gate any other column is the same.
                text = re.sub(FULL_TEXT, "_other_text", text, flags=re.IGNORECASE)
                decision = await self.services.sql.gate.decide(text, actor)
            self._judge(text, decision)
        if live:
            await self._run(text, person, actor)

    def _judge(self, text: str, decision: gate.Decision) -> None:
        runs = decision.text.sql()
        tree = grammar(runs)
        if tree is None:
            self.tally.outcomes["not of the grammar"] += 1
            if grammar(text.rstrip(" ;\n")) is not None:
                self.tally.unfaithful.append((text, runs))
            return
        if (found := unsafe(tree, decision.relations, self.known)) is not None:
            self.tally.unsafe.append((text, found))
        written = grammar(text)
        if written is None:
            self.tally.outcomes["made valid"] += 1
            return
        tables = self._tables(decision)
        if normalised(written, tables, False) != normalised(tree, tables, True):
            self.tally.unfaithful.append((text, runs))

    def _tables(self, decision: gate.Decision) -> dict[tuple[str, ...], str]:
        """Resource ids by the names under which tables may be written."""
        tables: dict[tuple[str, ...], str] = {}
        for table in decision.tables:
            for name in (table.resource_id, *table.aliases):
                tables[(name,)] = tables[("public", name)] = table.resource_id
                for dataset in (table.dataset_id, table.access.name):
                    tables[(dataset, name)] = table.resource_id
                    tables[(dataset, "table")] = table.resource_id
        return tables

    async def _run(self, text: str, person: str, actor: Actor) -> None:
        try:
            result = await self.services.sql.run(text, [], actor)
        except DataStoreError as refusal:
            self.tally.outcomes[f"live {refusal.status}"] += 1
            self._look_for_secrets(text, person, str(refusal.body()))
        else:
            self.tally.outcomes["live ran"] += 1
            self._look_for_secrets(text, person, result.records.decode())

    def _look_for_secrets(self, text: str, person: str, told: str) -> None:
        for label, secret in self.world.secrets.items():
            if secret in told and not self.world.may_see(person, label):
                self.tally.unsafe.append((text, f"{person} sees {label}"))


def report(tally: Tally) -> dict[str, Any]:
    """The figures."""
    return {
        "tried": tally.tried,
        **dict(sorted(tally.outcomes.items())),
        "unsafe": len(tally.unsafe),
        "unfaithful": len(tally.unfaithful),
    }
