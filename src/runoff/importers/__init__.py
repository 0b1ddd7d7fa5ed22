"""Runs trained elsewhere, read from what their tools left behind. Must not: train, evaluate, or follow a path."""

from runoff.importers.api import FileReport, ImportedRun, ImportReport, import_runs
from runoff.importers.facts import Importer
from runoff.importers.registry import IMPORTERS

__all__ = ["IMPORTERS", "FileReport", "ImportReport", "ImportedRun", "Importer", "import_runs"]
