"""The SDK. Read in this order: study (ask), job (wait, result), plan (many jobs), watch (events), reveal (shares to an answer),
links, config."""

from engine.client.job import Job, JobStatus
from engine.client.plan import Plan, PlanStatus
from engine.client.study import ListedJob, ListedPlan, Study, connect
from engine.client.watch import JobEvent

__all__ = ["Job", "JobEvent", "JobStatus", "ListedJob", "ListedPlan", "Plan", "PlanStatus", "Study", "connect"]
