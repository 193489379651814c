"""Actions on the dashboard: the news of all that a user follows, and their own."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from datastore.accounts.permissions import may_act_for_user, refusal, require_login
from datastore.actions.activity.fields import TimedPage, shown, window
from datastore.actions.parameters import Parameters
from datastore.actions.registry import Call, action
from datastore.catalog import dates
from datastore.catalog.activity.streams import MAX_LIMIT, Window, count_others, dashboard, list_activities
from datastore.postgres.database import Transaction

_LAST_VIEWED = "SELECT last_viewed FROM datastore.dashboards WHERE user_id = $1"

_VIEW = """
    INSERT INTO datastore.dashboards AS stored (user_id, last_viewed) VALUES ($1, $2)
    ON CONFLICT (user_id) DO UPDATE SET last_viewed = greatest(stored.last_viewed, excluded.last_viewed)
"""


class DashboardActivityList(TimedPage):
    """Which part of the dashboard."""


class DashboardOfYours(Parameters):
    """No parameters."""


@action(DashboardActivityList, get=True)
async def dashboard_activity_list(call: Call, parameters: DashboardActivityList) -> list[dict[str, Any]]:
    """What you did, and what happened to all that you follow, newest first.

    What others did since you last called dashboard_mark_activities_old has `is_new`.
    """
    user_id = own_id(call, "dashboard_activity_list")
    pool = call.services.database.owner
    viewed = await pool.fetchval(_LAST_VIEWED, user_id)
    wanted = window(parameters, before=parameters.before, after=parameters.after)
    found = await list_activities(pool, call.actor, dashboard(user_id), wanted)
    return [
        {
            **shown(call, activity),
            "is_new": activity.user_id != user_id and (viewed is None or activity.timestamp > viewed),
        }
        for activity in found
    ]


@action(DashboardOfYours, get=True)
async def dashboard_new_activities_count(call: Call, _parameters: DashboardOfYours) -> int:
    """How many of the latest 100 activities of your dashboard are new."""
    user_id = own_id(call, "dashboard_new_activities_count")
    pool = call.services.database.owner
    viewed: datetime | None = await pool.fetchval(_LAST_VIEWED, user_id)
    wanted = Window(limit=MAX_LIMIT, after=viewed)
    return await count_others(pool, call.actor, dashboard(user_id), wanted)


@action(DashboardOfYours)
async def dashboard_mark_activities_old(call: Call, _parameters: DashboardOfYours) -> None:
    """Nothing on your dashboard is new any more."""
    user_id = own_id(call, "dashboard_mark_activities_old")

    async def work(tx: Transaction) -> None:
        await tx.connection.execute(_VIEW, user_id, dates.now())

    await call.write(work)


def own_id(call: Call, action_name: str) -> str:
    """The id of the user who asks. Raises :class:`NotAuthorized` for visitors, and for tokens with limits."""
    require_login(call.actor, action_name)
    if call.actor.id is None or not may_act_for_user(call.actor, call.actor.id):
        raise refusal(call.actor, action_name, "this site")
    return call.actor.id
