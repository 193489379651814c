"""Actions on translations of terms."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from datastore.accounts.permissions import require_sysadmin
from datastore.actions.catalog.fields import AnyText, Objects, Sent
from datastore.actions.parameters import Parameters, Strings
from datastore.actions.registry import Call, action
from datastore.catalog.site.translations import find_translations, save_translations
from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from datastore.validation import MISSING, is_sent, is_storable, objects


class TermTranslationShow(Parameters):
    """Which terms, in which languages."""

    terms: Any = Field(None, description="A term, or a list of terms.")
    lang_codes: Strings = Field(None, description="Only these languages, such as `de`.")


class TermTranslationUpdate(Sent):
    """A term in another language."""

    term: AnyText = Field(None, description="The term.")
    term_translation: AnyText = Field(None, description="Its translation.")
    lang_code: AnyText = Field(None, description="The language of the translation, such as `de`.")


class TermTranslationUpdateMany(Parameters):
    """Several translations."""

    data: Objects = Field(None, description="List of `{term, term_translation, lang_code}`.")


@action(TermTranslationShow, get=True)
async def term_translation_show(call: Call, parameters: TermTranslationShow) -> list[dict[str, str]]:
    """The translations of terms."""
    given = parameters.terms
    # A term may contain commas: one text is one term.
    terms = [given] if isinstance(given, str) and given else given
    if not terms:
        raise ValidationError({"terms": [MISSING]})
    if not isinstance(terms, list) or not all(isinstance(term, str) for term in terms):
        raise ValidationError({"terms": ["Must be a text or a list of texts"]})
    storable = [term for term in terms if is_storable(term)]
    languages = parameters.lang_codes
    if languages is not None:
        languages = [code for code in languages if is_storable(code)]
    return await find_translations(call.services.database.owner, storable, languages)


@action(TermTranslationUpdate)
async def term_translation_update(call: Call, parameters: TermTranslationUpdate) -> dict[str, str]:
    """Set the translation of a term into one language. Sysadmins only."""
    require_sysadmin(call.actor, "term_translation_update")

    async def work(tx: Transaction) -> dict[str, str]:
        try:
            return (await save_translations(tx, [parameters.sent()]))[0]
        except ValidationError as error:
            raise ValidationError(error.fields["data"][0]) from None

    return await call.write(work)


@action(TermTranslationUpdateMany)
async def term_translation_update_many(call: Call, parameters: TermTranslationUpdateMany) -> dict[str, str]:
    """Set several translations, all or none. Sysadmins only."""
    require_sysadmin(call.actor, "term_translation_update_many")
    if not is_sent(parameters.data):
        raise ValidationError({"data": [MISSING]})
    items = objects("data", parameters.data)

    async def work(tx: Transaction) -> int:
        return len(await save_translations(tx, items))

    return {"success": f"{await call.write(work)} rows updated"}
