"""Reports for `w2sprobe report`: results as one HTML page, with figures for print."""

from w2sprobe.reporting.report.key_numbers import KeyNumbers, study_numbers, task_numbers
from w2sprobe.reporting.report.write import write_report

__all__ = ["KeyNumbers", "study_numbers", "task_numbers", "write_report"]
