"""Reports: sections of plain data and their renderings. Must not: read disk, or know an engine."""

from runoff.report.build import report
from runoff.report.model import Report
from runoff.report.write import write_report

__all__ = ["Report", "report", "write_report"]
