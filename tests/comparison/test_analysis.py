from w2sprobe.comparison import Analysis


def test_a_study_declares_its_analysis() -> None:
    declared = {"against": "student", "family": ["x"], "alpha": 0.01, "hypotheses": ["x helps"]}
    found = Analysis.of_config({"name": "mine", "min_gap": 0.05, "analysis": declared})
    assert found == Analysis(min_gap=0.05, family=("x",), alpha=0.01)
    before = {"name": "old", "min_gap": 0.03, "min_gap_se": 4.0}  # an earlier version
    assert Analysis.of_config(before) == Analysis()
