"""What a report reads of a study."""

from dataclasses import replace
from pathlib import Path

from tests.reporting.cases import METHODS, save_study
from w2sprobe.comparison import SCORES, read_scores
from w2sprobe.reporting.report.sources import ResultsFolder
from w2sprobe.results import RESULTS


def test_a_study_has_the_scores_that_stats_reads(tmp_path: Path) -> None:
    save_study(tmp_path, ("one",), ("0", "1"), methods={"one": METHODS[:3]}, records=False)
    (tmp_path / SCORES).unlink(missing_ok=True)
    source = ResultsFolder.read(tmp_path)
    runs = [one for run in source.runs for one in read_scores(run.folder / RESULTS)]
    assert source.scores == runs
    # the rows that both runs share add less than those of a single run
    (tmp_path / SCORES).write_text(
        "task,method,seed,auc,gap_se\n"
        + "".join(f"{one.task},{one.method},{one.seed},{one.auc},.001\n" for one in runs)
    )
    found = ResultsFolder.read(tmp_path).scores
    assert found == read_scores(tmp_path)
    assert [replace(one, where="") for one in found] != [replace(one, where="") for one in runs]
