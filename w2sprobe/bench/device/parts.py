"""Which parts a session has, in the order in which they run: the most useful first."""

from functools import partial

from w2sprobe.bench.device.gpu_tests import gpu_tests
from w2sprobe.bench.device.model_parts import extraction, finetuning
from w2sprobe.bench.device.probe_parts import attention, logistic, products, search
from w2sprobe.bench.device.session import Part
from w2sprobe.bench.device.sizes import Sizes


def parts_of(sizes: Sizes) -> list[Part]:
    """Parts of a session; the expected seconds are those of full sizes on an H100."""
    rows, width = sizes.logistic
    texts, tokens, token_width = sizes.attention
    small, *large = (
        Part(f"search {n:,} x {d:,}", seconds, partial(search, rows=n, width=d, k=sizes.k))
        for (n, d), seconds in zip(sizes.searches, (20, 110), strict=True)
    )
    models = (
        Part(f"{kind} {name}", seconds, partial(measure, name=name, shape=shape, sizes=sizes))
        for kind, measure in (("extraction", extraction), ("finetuning", finetuning))
        for (name, shape), seconds in zip(sizes.models.items(), (15, 45), strict=False)
    )
    probe = partial(attention, rows=texts, tokens=tokens, width=token_width)
    return [
        Part("limit", 10, partial(products, size=sizes.product)),
        Part("tests", 90, gpu_tests),
        small,
        Part("logistic", 20, partial(logistic, rows=rows, width=width)),
        *models,
        Part("attention probe", 50, probe),
        *large,
    ]
