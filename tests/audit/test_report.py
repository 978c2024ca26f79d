from tests.audit.cases import make_audit, make_baseline, make_duplicates
from w2sprobe.audit import render
from w2sprobe.audit.report import WIDTH


def test_findings_come_first_and_are_wrapped() -> None:
    lines = render(make_audit()).splitlines()
    assert lines[0] == "Audit of made up: 1 flagged, 1 warned about"
    assert lines[2].startswith("FLAG    Something is wrong. Something")
    assert lines[3].startswith("        ")
    assert "WARNING An ending." in lines
    assert max(map(len, lines)) <= WIDTH


def test_numbers_stand_below() -> None:
    text = " ".join(render(make_audit()).split())
    for part in (
        "length no AUC",
        "words 0.990 [0.980, 1.000] FLAG of each text, the first and last 500 characters",
        "for label 0: 'no' (900 | 0)",
        "for label 1: 'yes<end>' (3 | 1,250)",
        "weak_train and test: rows 2 and 2, pairs 2, of which with different labels 1",
        "0.88 weak_train and test: 0 some text 1 some other text",
        "test 1,000 3,000 9, 10, 1,100 1, 2, 3",
        "m: longest row 1,024 tokens, context 512",
    ):
        assert part in text, part
    assert "val and test" not in text, "splits without duplicates are not listed"


def test_nothing_found() -> None:
    quiet = make_baseline(flagged=False, interval=None, cues=(), about="lines, quartiles: ...")
    text = render(make_audit(baselines=(quiet,), duplicates=make_duplicates(), findings=()))
    assert text.startswith("Audit of made up: nothing flagged\n\nBaselines")
    assert "0.990 no interval\n" in text
    assert "lines, quartiles: ..." in text
    assert "Jaccard similarity from 0.8 on: none" in text
