"""The SDK. Read in this order: study (ask), job (wait, result), watch (events), reveal (shares to an answer), links, config."""

from engine.client.job import Job, JobStatus
from engine.client.study import ListedJob, Study, connect
from engine.client.watch import JobEvent

__all__ = ["Job", "JobEvent", "JobStatus", "ListedJob", "Study", "connect"]
