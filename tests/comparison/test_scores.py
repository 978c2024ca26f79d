import math
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.reporting.cases import results
from w2sprobe.comparison import Score, by_pair, complete_scores, pair_name, read_scores
from w2sprobe.errors import InputError


def table(folder: Path, text: str) -> Path:
    path = folder / "scores.csv"
    path.write_text(text, encoding="utf-8")
    return path


def complete(*scores: Score) -> list[Score]:
    return complete_scores(scores)


# --- files


def test_csv_and_parquet_give_the_same(tmp_path: Path) -> None:
    rows = [
        {"task": "a", "method": "x", "seed": 1, "auc": 0.7, "gap_se": None, "remark": "ö"},
        {"task": "b", "method": "x", "seed": 2, "auc": 0.8, "gap_se": 0.01, "remark": ""},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "s.parquet")
    pyarrow.csv.write_csv(pa.Table.from_pylist(rows), tmp_path / "s.csv")
    first, second = (read_scores(tmp_path / f"s.{kind}") for kind in ("csv", "parquet"))
    for found in (first, second):
        assert [(s.task, s.method, s.seed, s.auc) for s in found] == [
            ("a", "x", "1", 0.7),
            ("b", "x", "2", 0.8),
        ]
        assert math.isnan(found[0].gap_se)
        assert found[1].gap_se == 0.01
        assert math.isnan(found[1].pgr)
    assert "data row 2" in first[1].where
    assert "data row 2" in second[1].where


def test_results_give_ends_and_the_error_of_the_gap(tmp_path: Path) -> None:
    seeds = {part: {"seed": 3} for part in ("task", "weak", "strong")}
    path = tmp_path / "results.json"
    results().model_copy(update={"config": seeds}).write(path)
    for place in (path, tmp_path):
        (student,) = complete_scores(read_scores(place))
        assert (student.task, student.method, student.seed) == ("t", "student", "3")
        assert (student.weak_auc, student.auc, student.ceiling_auc) == (0.8, 0.83, 0.9)
        assert student.pgr == pytest.approx(0.3)
        assert student.gap_se == 0.0153
        assert (student.split_seed, student.weak_seed, student.strong_seed) == ("3", "3", "3")
        assert student.role == "competitor"


def test_seeds_of_results_that_differ_are_all_named(tmp_path: Path) -> None:
    seeds = {"task": {"seed": 0}, "weak": {"seed": 1}, "strong": {"seed": 2}}
    results().model_copy(update={"config": seeds}).write(tmp_path / "results.json")
    assert {score.seed for score in read_scores(tmp_path)} == {"0/1/2"}
    results().model_copy(update={"config": seeds, "seed": "7"}).write(tmp_path / "results.json")
    assert {score.seed for score in read_scores(tmp_path)} == {"7"}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("task,method,auc\na,x,1.2\n", ["auc is 1.2", "data row 1", "column auc", "0 to 1"]),
        ("task,method,auc\na,x,.5\na,y,high\n", ["'high'", "data row 2 (line 3)", "column auc"]),
        ("task,method,auc,gap_se\na,x,.5,-1\n", ["gap_se is -1", "0 or more"]),
        ("task,method,pgr\na,x,inf\n", ["pgr is inf", "column pgr", "a number"]),
        ("task,method,auc,delta_auc_se\na,x,.5,-1\n", ["delta_auc_se is -1", "0 or more"]),
        ("task,method,auc,accuracy\na,x,.5,2\n", ["accuracy is 2", "0 to 1"]),
        ("task,method,auc,role\na,x,.5,judge\n", ["role is 'judge'", "column role", "control"]),
        ("task,method,auc\n,x,.5\n", ["empty cell", "column task"]),
        ("task,auc\na,.5\n", ["no column method", "task, auc"]),
        ("task,method\na,x\n", ["no column auc or pgr"]),
        ("", ["no column task, no column method", "none"]),
        ("task,method,auc\na,x\n", ["number of cells", "data row 1"]),
        ("task,method,auc\na,x,.5,7\n", ["number of cells", "data row 1"]),
        ('task,method,auc\na,"x,.5\n', ["cannot read scores"]),
    ],
)
def test_a_table_that_cannot_be_used(text: str, parts: list[str], tmp_path: Path) -> None:
    path = table(tmp_path, text)
    with pytest.raises(InputError) as error:
        read_scores(path)
    for part in (*parts, str(path)):
        assert part in str(error.value)


def test_files_without_scores_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown kind"):
        read_scores(tmp_path / "scores.txt")
    for name in ("none.csv", "none.parquet", "none.json"):
        with pytest.raises(InputError, match=name):
            read_scores(tmp_path / name)
    (tmp_path / "broken.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match=r"broken\.parquet"):
        read_scores(tmp_path / "broken.parquet")
    (tmp_path / "latin.csv").write_bytes("task,method,auc\nö,x,.5\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.csv"):
        read_scores(tmp_path / "latin.csv")


def test_models_are_read_where_they_are_named(tmp_path: Path) -> None:
    path = table(tmp_path, "task,method,weak_model,strong_model,auc\na,x, w/1 ,s,.5\na,y,,,.5\n")
    named, unnamed = read_scores(path)
    assert (named.pair, unnamed.pair) == (("w/1", "s"), ("", ""))
    assert (pair_name(named.pair), pair_name(unnamed.pair)) == ("w/1:s", "unnamed")
    assert by_pair([named, unnamed, named]) == {
        named.pair: [named, named],
        unnamed.pair: [unnamed],
    }


def test_a_study_is_read_by_its_table(tmp_path: Path) -> None:
    results().write(tmp_path / "results.json")
    assert {score.pair for score in read_scores(tmp_path)} == {("w", "s")}
    # as a study writes it: more columns than are read, ends on every row and as rows
    table(
        tmp_path,
        "task,weak_model,strong_model,seed,method,auc,weak_auc,ceiling_auc,pgr,gap_se,delta_auc,"
        "resolved,rows_offered,rows_kept,seconds\n"
        "a,w,s,0,weak,.6,.6,.8,,.01,0,True,,,\n"
        "a,w,s,0,student,.65,.6,.8,.25,.01,.05,True,100,90,1.5\n",
    )
    (student,) = complete_scores(read_scores(tmp_path))
    assert math.isnan(student.delta_auc_se)
    assert (student.split_seed, student.role) == ("", "")
    assert (student.pair, student.seed, student.auc, student.gap_se) == (
        ("w", "s"),
        "0",
        0.65,
        0.01,
    )


def test_seeds_errors_and_roles_are_read(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "task,seed,split_seed,weak_seed,strong_seed,method,role,auc,delta_auc_se,accuracy\n"
        "a,0,1,2,3,x,control,.65,.02,.6\n"
        "a,0,1,2,3,y,,.65,,\n",
    )
    first, second = read_scores(path)
    assert (first.split_seed, first.weak_seed, first.strong_seed) == ("1", "2", "3")
    assert (first.role, first.delta_auc_se, first.accuracy) == ("control", 0.02, 0.6)
    assert second.role == ""
    assert math.isnan(second.delta_auc_se)


def test_results_give_the_error_of_gains_and_roles_of_defined_methods(tmp_path: Path) -> None:
    given = results()
    seeds = {part: {"seed": 3} for part in ("task", "weak", "strong")}
    define = {"student": {"curation": "random_filter"}}
    rows = tuple(row.model_copy(update={"delta_auc_se": 0.02}) for row in given.rows)
    config = {**seeds, "define": define}
    given.model_copy(update={"config": config, "rows": rows}).write(tmp_path / "results.json")
    (student,) = complete_scores(read_scores(tmp_path))
    assert (student.delta_auc_se, student.role) == (0.02, "control")
    own = tuple(row.model_copy(update={"own_ceiling": "weak"}) for row in rows)
    given.model_copy(update={"config": seeds, "rows": own}).write(tmp_path / "results.json")
    (student,) = complete_scores(read_scores(tmp_path))
    assert (student.own_ceiling, student.own_ceiling_auc) == ("weak", 0.8)


# --- completion


def test_pairs_do_not_share_ends() -> None:
    def row(method: str, strong: str, **numbers: float) -> Score:
        return Score("t", method, "0", weak_model="w", strong_model=strong, **numbers)

    first, second = complete(
        row("ceiling", "s", auc=0.8),
        row("weak", "s", auc=0.6),
        row("x", "s", auc=0.7),
        row("ceiling", "l", auc=0.9),
        row("weak", "l", auc=0.5),
        row("x", "l", auc=0.7),
    )
    assert (first.weak_auc, first.ceiling_auc) == (0.6, 0.8)
    assert (second.weak_auc, second.ceiling_auc) == (0.5, 0.9)


def test_own_ceilings_are_methods_of_the_same_run(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "task,seed,method,auc,weak_auc,own_ceiling,own_ceiling_auc,own_pgr\n"
        "a,0,probe,.7,.6,best,,.4\n"
        "a,0,best,.8,.6,,,\n"
        "a,1,probe,.7,.6,best,,\n"
        "a,2,probe,.7,.6,best,.75,\n",
    )
    first, best, alone, said = complete_scores(read_scores(path))
    assert (first.own_ceiling, first.own_ceiling_auc, said.own_ceiling_auc) == ("best", 0.8, 0.75)
    assert math.isnan(best.own_ceiling_auc)
    assert math.isnan(alone.own_ceiling_auc)
    # a second pass, without the rows of the ceiling, changes nothing
    assert complete_scores([first]) == [replace(first)]


def test_auc_and_pgr_follow_from_each_other() -> None:
    ends = {"weak_auc": 0.6, "ceiling_auc": 0.8}
    (by_auc,) = complete(Score("t", "x", auc=0.65, **ends))
    (by_pgr,) = complete(Score("t", "x", pgr=0.25, **ends))
    assert by_auc.pgr == pytest.approx(0.25)
    assert by_pgr.auc == pytest.approx(0.65)


def test_rows_of_weak_and_ceiling_stand_for_columns() -> None:
    (found,) = complete(
        Score("t", "weak", auc=0.6), Score("t", "x", auc=0.7), Score("t", "ceiling", auc=0.8)
    )
    assert (found.weak_auc, found.ceiling_auc) == (0.6, 0.8)
    assert found.pgr == pytest.approx(0.5)


def test_ends_without_a_seed_serve_seeds_without_ends() -> None:
    found = complete(
        Score("t", "weak", auc=0.6),
        Score("t", "weak", "1", auc=0.5),
        Score("t", "x", "0", auc=0.7, ceiling_auc=0.8),
        Score("t", "x", "1", auc=0.7, ceiling_auc=0.8),
        Score("u", "x", "0", auc=0.7),
    )
    assert [score.weak_auc for score in found[:2]] == [0.6, 0.5]
    assert math.isnan(found[2].weak_auc)
    assert math.isnan(found[2].pgr)


def test_completing_twice_changes_nothing() -> None:
    once = complete(
        Score("t", "x", pgr=0.3, weak_auc=0.6, ceiling_auc=0.8), Score("t", "y", auc=0.7)
    )
    for first, second in zip(once, complete_scores(once), strict=True):
        assert vars(first) == pytest.approx(vars(second), nan_ok=True)


@pytest.mark.parametrize(
    ("scores", "parts"),
    [
        (
            [Score("t", "x", auc=0.5, where="a, 1"), Score("t", "x", auc=0.5, where="b, 9")],
            ["task 't', method 'x', seed ''", "'unnamed'", "twice", "a, 1 and b, 9", "weak_model"],
        ),
        (
            [
                Score("t", "x", weak_model="w", strong_model="s", auc=auc, where=f"row {auc}")
                for auc in (0.5, 0.6)
            ],
            ["of the pair 'w:s' occurs twice", "row 0.5 and row 0.6"],
        ),
        ([Score("t", "x", where="a, 1")], ["neither auc nor pgr", "a, 1"]),
        (
            [
                Score("t", "x", auc=0.5, weak_auc=0.4, where="a, 1"),
                Score("t", "y", auc=0.5, weak_auc=0.41, where="a, 2"),
            ],
            [
                "weak_auc is 0.4 and 0.41",
                "a, 1 and a, 2",
                "one weak_auc per task, pair of models and seed",
            ],
        ),
        (
            [Score("t", "weak", auc=0.4), Score("t", "x", auc=0.5, weak_auc=0.41)],
            ["weak_auc is 0.4 and 0.41"],
        ),
        (
            [Score("t", "x", auc=0.5, pgr=0.9, weak_auc=0.4, ceiling_auc=0.8)],
            ["pgr 0.9", "auc of 0.760", "auc is 0.5"],
        ),
    ],
)
def test_contradictions(scores: list[Score], parts: list[str]) -> None:
    with pytest.raises(InputError) as error:
        complete_scores(scores)
    for part in parts:
        assert part in str(error.value)


def test_rounded_numbers_are_no_contradiction() -> None:
    (found,) = complete(Score("t", "x", auc=0.689, pgr=0.42, weak_auc=0.617, ceiling_auc=0.789))
    assert found.auc == 0.689
    assert found.pgr == pytest.approx(0.072 / 0.172)
