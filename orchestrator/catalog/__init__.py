"""What can be trained, and on what: content that is found by folder, not imported by name."""

from orchestrator.catalog.definition import Dataset, Job, Parameter, Training, dataset, job
from orchestrator.catalog.discovery import Catalog, load_catalog, load_entry
from orchestrator.catalog.info import DatasetInfo

__all__ = [
    "Catalog",
    "Dataset",
    "DatasetInfo",
    "Job",
    "Parameter",
    "Training",
    "dataset",
    "job",
    "load_catalog",
    "load_entry",
]
