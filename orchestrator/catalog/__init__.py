"""What can be trained, and on what: content that is found by folder, not imported by name."""

from orchestrator.catalog.definition import (
    Dataset,
    Declaration,
    Job,
    Parameter,
    Training,
    dataset,
    job,
)
from orchestrator.catalog.discovery import Catalog, load_catalog, load_declared, load_entry
from orchestrator.catalog.info import DatasetInfo

__all__ = [
    "Catalog",
    "Dataset",
    "DatasetInfo",
    "Declaration",
    "Job",
    "Parameter",
    "Training",
    "dataset",
    "job",
    "load_catalog",
    "load_declared",
    "load_entry",
]
