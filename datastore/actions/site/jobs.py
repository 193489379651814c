"""Actions on background jobs."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from datastore.accounts.permissions import require_sysadmin
from datastore.actions.parameters import Boolean, Natural, Parameters, RequiredText, Strings
from datastore.actions.registry import Call, action
from datastore.catalog import dates
from datastore.jobs import queue
from datastore.jobs.queue import Job
from datastore.postgres.database import Transaction
from datastore.validation import is_storable


class JobList(Parameters):
    """Which jobs."""

    queues: Strings = Field(None, description="Only those of these queues; of all by default.")
    limit: Natural = Field(None, description="At most so many, the oldest ones.")
    ids_only: Boolean = Field(False, description="Only their ids.")


class JobShow(Parameters):
    """Which job."""

    id: RequiredText = Field(description="Id of the job.")


class JobCancel(Parameters):
    """Which job."""

    id: RequiredText = Field(description="Id of the job.")


class JobClear(Parameters):
    """Which queues."""

    queues: Strings = Field(None, description="Names of queues; all of them by default.")


@action(JobList, get=True)
async def job_list(call: Call, parameters: JobList) -> list[dict[str, Any]] | list[str]:
    """The background jobs that wait or run, oldest first. Sysadmins only."""
    require_sysadmin(call.actor, "job_list")
    queues = _queues(parameters.queues)
    jobs = await queue.list_jobs(call.services.database.owner, queues, parameters.limit)
    return [job.id for job in jobs] if parameters.ids_only else [_shown(job) for job in jobs]


@action(JobShow, get=True)
async def job_show(call: Call, parameters: JobShow) -> dict[str, Any]:
    """A background job, also one that failed. One that is done is forgotten. Sysadmins only."""
    require_sysadmin(call.actor, "job_show")
    return _shown(await queue.find_job(call.services.database.owner, parameters.id))


@action(JobCancel)
async def job_cancel(call: Call, parameters: JobCancel) -> None:
    """Remove a background job that has not begun, or one that failed. Sysadmins only."""
    require_sysadmin(call.actor, "job_cancel")

    async def work(tx: Transaction) -> None:
        await queue.cancel(tx, parameters.id)

    await call.write(work)


@action(JobClear)
async def job_clear(call: Call, parameters: JobClear) -> list[str]:
    """Remove the background jobs of queues that have not begun; the names of the cleared queues. Sysadmins only."""
    require_sysadmin(call.actor, "job_clear")

    async def work(tx: Transaction) -> list[str]:
        return await queue.clear(tx, _queues(parameters.queues))

    return await call.write(work)


def _queues(names: list[str] | None) -> list[str] | None:
    """No queue has a name that cannot be stored. No names at all mean all queues."""
    return [name for name in names if is_storable(name)] if names else None


def _shown(job: Job) -> dict[str, Any]:
    return {"id": job.id, "title": job.title, "created": dates.render(job.created), "queue": job.queue}
