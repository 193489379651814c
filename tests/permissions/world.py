"""A site with people of every kind, and small worlds whose every word is a secret or not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx

from datastore.accounts.members import set_user_role
from datastore.accounts.tokens import EVERYTHING, Scope, create_token
from datastore.actions.services import Services
from datastore.jobs.queue import Request, enqueue
from datastore.postgres.database import Transaction
from tests.accounts.people import person_with_token
from tests.catalog.samples import unique
from tests.catalog.search.world import letters
from tests.conftest import ADMIN_TOKEN

MEMBERS = ("member", "editor", "admin")
KINDS: dict[str, dict[str, Any]] = {
    "public": {},
    "private": {"private": True},
    "draft": {"state": "draft"},
    "deleted": {"state": "deleted"},
}
"""What makes a dataset one of its kind."""
EVERY_STATE = {"include_private": True, "include_drafts": True, "include_deleted": True}


@dataclass
class Site:
    """A site over HTTP, with people who have no rights but those that a world gives them."""

    services: Services
    client: httpx.AsyncClient
    ids: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    async def make(cls, services: Services, client: httpx.AsyncClient) -> Site:
        """The people: a stranger, three members, a deleted user who still has a token, and a sysadmin's tokens."""
        site = cls(services, client)
        for who in ("stranger", *MEMBERS, "deleted"):
            site.ids[who], site.tokens[who] = await person_with_token(services)
        await site.post("user_delete", ADMIN_TOKEN, {"id": site.ids["deleted"]})
        # As if something had been forgotten: the state alone must do.
        site.tokens["deleted"] = await site.token("deleted")
        site.ids["sysadmin"], site.tokens["sysadmin"] = await person_with_token(services, sysadmin=True)
        site.ids["read-only"] = site.ids["sysadmin"]
        site.tokens["read-only"] = await site.token("sysadmin", Scope(read_only=True))
        site.ids["limited"] = site.ids["admin"]
        site.tokens["anonymous"] = None
        return site

    async def token(self, who: str, scope: Scope = EVERYTHING) -> str:
        """A further token of somebody."""
        user_id = self.ids[who]
        token, _ = await self.services.database.write(lambda tx: create_token(tx, user_id, "further", scope=scope))
        return token

    async def post(self, name: str, token: str | None, parameters: dict[str, Any]) -> httpx.Response:
        """The answer to a call of an action."""
        headers = {"Authorization": token} if token else {}
        return await self.client.post(f"/api/3/action/{name}", json=parameters, headers=headers)

    async def do(self, name: str, /, **parameters: Any) -> Any:
        """The result of a call by the site's own sysadmin."""
        response = await self.post(name, ADMIN_TOKEN, parameters)
        assert response.status_code == 200, (name, response.text)
        return response.json()["result"]


@dataclass
class World:
    """An organization and a group with people, and in them a dataset of some kind whose texts all have a mark."""

    site: Site
    kind: str
    mark: str
    organization: str
    group: str
    dataset: str
    table: str
    link: str
    view: str
    friend: str
    """A dataset of the same kind; ``dataset`` depends on it."""
    task: str
    guest: str
    """A user who is a member, and a collaborator on the dataset."""
    guest_token: str
    limited: str
    """A token of the admin that is limited to the organization."""
    vocabulary: str
    activity: str
    """The latest change of the dataset."""
    job: str
    """A background job that waits."""

    @classmethod
    async def make(cls, site: Site, kind: str) -> World:
        """All of it, anew."""
        do, mark = site.do, letters("zq")
        organization = (await do("organization_create", name=unique("org")))["id"]
        group = (await do("group_create", name=unique("group")))["id"]
        guest, _ = await person_with_token(site.services)

        async def roles(tx: Transaction) -> str:
            for who in (*MEMBERS, "deleted"):
                role = "admin" if who == "deleted" else who
                await set_user_role(tx, organization, site.ids[who], role)
                await set_user_role(tx, group, site.ids[who], "member" if role == "editor" else role)
            await set_user_role(tx, organization, guest, "member")
            await set_user_role(tx, group, guest, "member")
            return (await create_token(tx, guest, "guest"))[1]

        guest_token = await site.services.database.write(roles)
        limited = await site.token("admin", Scope(organization_id=organization))
        vocabulary = (await do("vocabulary_create", name=unique("V"), tags=[{"name": "jazz"}]))["id"]
        dataset = (
            await do(
                "package_create",
                name=f"n-{mark}",
                title=f"Title {mark}",
                notes=f"Notes {mark}",
                author=mark,
                license_id=mark,
                owner_org=organization,
                groups=[{"id": group}],
                tags=[{"name": mark}, {"name": "a tag of all"}],
                extras=[{"key": mark, "value": mark}],
            )
        )["id"]
        friend = (await do("package_create", name=f"f-{mark}", owner_org=organization))["id"]
        fields = [{"id": mark, "type": "text"}, {"id": "n", "type": "int"}]
        resource = {"package_id": dataset, "name": mark, "description": mark}
        record = {mark: mark, "n": 1}
        table = (await do("datastore_create", resource=resource, fields=fields, records=[record], primary_key=mark))[
            "resource_id"
        ]
        address = f"http://example.org/{mark}"
        link = await do("resource_create", package_id=dataset, url=address, name=mark, format=mark, hash=mark)
        view = await do("resource_view_create", resource_id=table, view_type="text_view", title=mark)
        await do("package_relationship_create", subject=dataset, object=friend, type="depends_on", comment=mark)
        await do("package_collaborator_create", id=dataset, user_id=guest, capacity="member")
        task = await do(
            "task_status_update", entity_id=table, entity_type="resource", task_type="t", key="k", value=mark
        )
        if KINDS[kind]:
            for each in (dataset, friend):
                await do("package_patch", id=each, **KINDS[kind])
        await do("package_patch", id=dataset, notes=f"More notes {mark}")
        activity = (await do("package_activity_list", id=dataset, activity_types=["changed package"]))[0]["id"]
        request = Request("nobody's", unique("key"), "Nothing", queue=_queue(mark), delay=86400)
        job = await site.services.database.write(lambda tx: enqueue(tx, request))
        return cls(
            site, kind, mark, organization, group, dataset, table, link["id"], view["id"], friend, task["id"], guest,
            guest_token, limited, vocabulary, activity, job,
        )  # fmt: skip

    @property
    def part(self) -> str:
        """The beginning of the mark, which tells nobody the rest."""
        return self.mark[:8]

    @property
    def queue(self) -> str:
        """The queue of the job."""
        return _queue(self.mark)

    @property
    def secrets(self) -> set[str]:
        """What must not reach who may not see the dataset."""
        return {self.mark, self.dataset, self.table, self.link, self.view, self.friend}

    async def shown(self) -> Any:
        """All there is to see, to compare."""
        do = self.site.do
        found = [
            await do("package_show", id=self.dataset),
            await do("package_show", id=self.friend),
            await do("organization_show", id=self.organization, include_datasets=True),
            await do("group_show", id=self.group, include_datasets=True),
            await do("resource_view_list", id=self.table),
            await do("member_list", id=self.organization),
            await do("member_list", id=self.group),
            await do("package_collaborator_list", id=self.dataset),
            await do("package_relationships_list", id=self.dataset),
            await do("vocabulary_show", id=self.vocabulary),
            await do("task_status_show", id=self.task),
            await do("api_token_list", user_id=self.guest),
            await do("job_list", queues=[self.queue]),
            await do("user_show", id=self.guest),
        ]
        return lasting(found)


def _queue(mark: str) -> str:
    return f"queue {mark[:8]}"


# Times of use, and sizes of what PostgreSQL writes and cleans up whenever it likes.
# A resource's last_modified follows its table's last write by seconds.
_PASSING = frozenset({"last_active", "last_access", "last_modified", "db_size", "size", "idx_size"})


def lasting(value: Any) -> Any:
    """The value without what changes though nobody changes it."""
    if isinstance(value, dict):
        return {key: lasting(each) for key, each in value.items() if key not in _PASSING}
    return [lasting(each) for each in value] if isinstance(value, list) else value
