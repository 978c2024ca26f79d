"""Descriptions of methods in one sentence each, for readers of results."""

from pydantic import ValidationError

from w2sprobe.experiments.methods import FINETUNED, HEAD, LEARNERS, METHODS, Method
from w2sprobe.results import Results
from w2sprobe.training.settings import LossName
from w2sprobe.votes.rules import FILTER_RULES

PROBE_TITLES: dict[str, str] = {
    "knn": "kNN",
    "logistic": "logistic",
    "mass-mean": "mass-mean",
    "topofilter": "TopoFilter",
    "token-mean": "logistic (mean over all tokens)",
    "token-last": "logistic (last token)",
}
LOSSES: dict[LossName, str] = {
    "logconf": "log-confidence loss: targets are half label, half the student's hard prediction",
    "logconf_balanced": "log-confidence loss whose hard predictions have the labels' share of ones",
    "logconf_published": "log-confidence loss as in the published code",
    "entropy": "entropy penalty on uncertain predictions",
    "entropy_published": "entropy penalty as in the published code",
    "window": "confidence window: rows that the student is confident of are left out of the loss",
    "reverse": "reverse cross-entropy",
    "generalised": "generalised cross-entropy",
}


def describe_method(method: Method) -> str:
    """Describe in one sentence how the test rows are predicted.

    Examples
    --------
    >>> describe_method(METHODS["strong_to_strong_1"])
    'Strong model, trained on the labels of a student.'
    >>> describe_method(METHODS["knn_relabel"])
    'Strong model, trained on the labels of a kNN probe that was fitted on the weak labels.'
    """
    if method.predicts == "weak":
        return "Supervisor: it labels the rows that students learn from."
    if method.predicts == "ceiling":
        return "Strong model, trained on true labels: the ceiling, where PGR is 1."
    if method.predicts == "zero_shot":
        return "Pretrained strong model, prompted for the label; nothing is trained."
    loss = f", with {LOSSES[method.loss]}" if method.loss in LOSSES else ""
    averaged = "; averaged with the supervisor's predictions" if method.with_weak else ""
    if method.learner == FINETUNED:
        return f"Strong model, trained on the {_learnt(method)}{loss}{averaged}."
    learner = "linear head" if method.learner == HEAD else f"{_probe(method.learner)} probe"
    whose = "strong" if method.states == "strong" else "weak"
    layers = _layers(method)
    control = "; a control: the weak model learns from its own labels" if whose == "weak" else ""
    return (
        f"Frozen {whose} model: {learner} on its activations{layers}, fitted on the "
        f"{_learnt(method)}{loss}{averaged}{control}."
    )


def _layers(method: Method) -> str:
    if method.layers is None:
        return ""
    return ", a stack of layers" if method.combine == "stack" else ", averaged over layers"


def _probe(name: str) -> str:
    """Title of a probe, or its name if it has no title."""
    return PROBE_TITLES.get(name, name)


def _learnt(method: Method) -> str:
    """Describe the labels that a learner is trained on."""
    if method.labels == "truth":
        return "true labels"
    if method.labels == "noise":
        return "true labels, flipped at random at the supervisor's error rate (a control)"
    if method.labels == "soft_noise":
        return "supervisor's soft labels, permuted within each true class (a control)"
    if method.iterations:
        apart = " on rows it was not trained on" if method.cross_fit else ""
        return f"labels of a student{' of a student' * (method.iterations - 1)}{apart}"
    if method.function is not None:
        return f"weak labels as {method.function} changes them"
    if method.curation == "random_filter":
        words = str(method.same_size_as).replace("_", " ")
        return f"weak labels without as many random rows as {words} removes (a control)"
    if method.probe is None:
        return "weak labels"
    probe = _probe(method.probe)
    averaged = f"{_layers(method)}," if method.layers is not None else ""
    if method.curation == "relabel":
        return f"labels of a {probe} probe{averaged} that was fitted on the weak labels"
    if method.probe == "topofilter":
        return "weak labels without the rows that TopoFilter removes"
    return f"weak labels without the rows {FILTER_RULES[method.rule].removes} ({probe} probe)"


def describe_methods(results: Results) -> dict[str, str]:
    """Describe the methods of a run, those that its config defines among them.

    Returns
    -------
    dict of str to str
        By name; methods that this version does not know are left out.
    """
    known = dict(METHODS)
    for name, fields in results.config.get("define", {}).items():
        try:
            known[name] = Method.model_validate(fields)
        except ValidationError:  # defined in another version
            known.pop(name, None)
    ceiling = results.config.get("ceiling", FINETUNED)
    if ceiling in LEARNERS and ceiling != FINETUNED:
        known["ceiling"] = Method(labels="truth", learner=ceiling)
    for name, own_ceiling in results.ceilings.items():
        method = known[name].own_ceiling if name in known else None
        if method is not None:
            known.setdefault(own_ceiling, method)
    return {
        row.method: describe_method(known[row.method])
        for row in results.rows
        if row.method in known
    }
