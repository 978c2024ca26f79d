"""`w2sprobe report`: results as one HTML page and figures for print."""

from w2sprobe.reporting.report.write import write_report

__all__ = ["write_report"]
