"""`w2sprobe report`: results as one HTML page and figures for print, and the verdict on them."""

from w2sprobe.reporting.report.study_verdict import verdict_on_study
from w2sprobe.reporting.report.verdict import Verdict, verdict_on_task
from w2sprobe.reporting.report.write import write_report

__all__ = ["Verdict", "verdict_on_study", "verdict_on_task", "write_report"]
