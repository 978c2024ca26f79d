"""What a method does, in a sentence: for those who read its results and not its config."""

from pydantic import ValidationError

from w2sprobe.experiments.methods import METHODS, FilterRule, Method, ProbeName
from w2sprobe.results import Results
from w2sprobe.training.settings import LossName

PROBES: dict[ProbeName, str] = {
    "knn": "kNN",
    "logistic": "logistic",
    "mass-mean": "mass-mean",
    "topofilter": "TopoFilter",
}
LOSSES: dict[LossName, str] = {
    "logconf": "log-confidence loss: half label, half the student's own hardened guess",
    "logconf_balanced": "log-confidence loss that hardens as many guesses to 1 as the labels say",
    "logconf_published": "log-confidence loss as in the published code",
    "entropy": "entropy penalty: unsure predictions cost",
    "entropy_published": "entropy penalty as in the published code",
    "window": "confidence window: rows the student is sure of no longer train it",
    "reverse": "reverse cross-entropy",
    "generalised": "generalised cross-entropy",
}
RULES: dict[FilterRule, str] = {
    "disagreement": "that contradict the probe most",
    "confident-learning": "that confident learning takes for mislabelled",
    "deep-knn": "whose neighbours have other labels",
}


def in_words(method: Method) -> str:
    """Say in a sentence what predicts the test rows.

    Parameters
    ----------
    method : Method

    Returns
    -------
    str

    Examples
    --------
    >>> in_words(METHODS["strong_to_strong_1"])
    'Strong model, trained on the labels of a student.'
    >>> in_words(METHODS["knn_relabel"])
    'Strong model, trained on the labels of a kNN probe that was fitted on the weak labels.'
    """
    if method.predicts == "weak":
        return "Weak model, trained on true labels of other rows; it labels the rows of students."
    if method.predicts == "ceiling":
        return "Strong model, trained on the true labels: the end of the gap."
    if method.predicts == "zero_shot":
        return "Strong model as it comes, asked in words; nothing is trained."
    labels = "true labels, for scale" if method.labels == "truth" else "weak labels"
    if method.predicts == "probe" and method.probe is not None:
        probe = PROBES[method.probe]
        return (
            f"Nothing is finetuned: a {probe} probe on the strong model's activations, fitted on "
            f"the {labels}."
        )
    loss = f", with {LOSSES[method.loss]}" if method.loss in LOSSES else ""
    return f"Strong model, trained on the {_learnt(method, labels)}{loss}."


def _learnt(method: Method, labels: str) -> str:
    """What a student's labels are."""
    if method.iterations:
        apart = " on rows it was not trained on" if method.cross_fit else ""
        return f"labels of a student{' of a student' * (method.iterations - 1)}{apart}"
    if method.function is not None:
        return f"weak labels as {method.function} changes them"
    if method.curation == "random_filter":
        words = str(method.same_size_as).replace("_", " ")
        return f"weak labels without rows drawn at random, as many as {words} removes: a control"
    if method.probe is None:
        return labels
    probe = PROBES[method.probe]
    if method.curation == "relabel":
        return f"labels of a {probe} probe that was fitted on the weak labels"
    if method.probe == "topofilter":
        return "weak labels without the rows that TopoFilter finds apart from their class"
    return f"weak labels without the rows {RULES[method.rule]} ({probe} probe)"


def methods_in_words(results: Results) -> dict[str, str]:
    """Describe the methods of a run, its own ones among them.

    Parameters
    ----------
    results : Results

    Returns
    -------
    dict of str to str
        By name; without methods that this version cannot read.
    """
    known = dict(METHODS)
    for name, fields in results.config.get("define", {}).items():
        try:
            known[name] = Method.model_validate(fields)
        except ValidationError:  # of another version; its name is all there is to say
            known.pop(name, None)
    return {row.method: in_words(known[row.method]) for row in results.rows if row.method in known}
