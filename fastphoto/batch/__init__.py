"""Many photos: jobs from folders and manifests, workers on this machine or on a Ray cluster, and a record of each."""

from fastphoto.batch.jobs import Job, find_jobs, read_manifest
from fastphoto.batch.run import BatchProgress, BatchSummary, transfer_many

__all__ = ["BatchProgress", "BatchSummary", "Job", "find_jobs", "read_manifest", "transfer_many"]
