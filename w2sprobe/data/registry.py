"""The 25 tasks of the source experiments, one entry each.

Repositories, splits and label meanings follow EleutherAI/w2s, `ds_registry.py`. If its repository
is a script, which `datasets` no longer runs, the entry names a copy that consists of data files.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from w2sprobe.data import formats
from w2sprobe.data.coin import Coin
from w2sprobe.data.formats import Format, HubRow, Unusable
from w2sprobe.data.hub import HubSource, locate, read_rows
from w2sprobe.data.rows import SourceRows
from w2sprobe.errors import InputError

# Branch with the hub's own Parquet copy of a script repository: dream and cosmos_qa are pinned to a
# commit of it. No commit of mc_taco and twitter-sentiment is known for sure, so these two follow a
# branch; the commit that was read is in a task's `made_of`.
CONVERTED = "refs/convert/parquet"


@dataclass(frozen=True)
class HubTask:
    """Source and format of a task.

    Parameters
    ----------
    format : callable
        Row to text and label.
    positive : str
        Meaning of label 1.
    rows : tuple of int
        Number of training and of test rows in the source, for listings.
    group : str or callable, optional
        Column, or function of the row, that defines its group; empty: each row is a group.
    published_format : callable, optional
        If the published text or label differs.
    published_source : HubSource, optional
        If the published splits differ.
    """

    source: HubSource
    format: Format
    positive: str
    rows: tuple[int, int]
    group: str | Callable[[HubRow], str] = ""
    published_format: Format | None = None
    published_source: HubSource | None = None


def read_hub_task(name: str, *, published: bool) -> SourceRows:
    """Read and format the rows of a task.

    Parameters
    ----------
    name : str
        Key of `HUB_TASKS`.
    published : bool
        Format as published, including known bugs.

    Returns
    -------
    SourceRows
        Groups are hashes, because passages are too long for names.

    Raises
    ------
    InputError
        Missing data or column, or an invalid cell; names the file and the row.
    """
    task = HUB_TASKS[name]
    source = (published and task.published_source) or task.source
    make = (published and task.published_format) or task.format
    texts, labels, groups, held_out = [], [], [], []
    dropped: Counter[str] = Counter()
    rows_read: Counter[str] = Counter()
    located = locate(source)
    for split, where, cells in read_rows(source, located):
        rows_read[split] += 1
        row = HubRow(cells)
        try:
            text, label = make(row)
            group = task.group(row) if callable(task.group) else task.group and row[task.group]
        except Unusable as reason:
            dropped[str(reason)] += 1
            continue
        except InputError as error:
            raise InputError(error.what, where=where, allowed=error.allowed) from error
        texts.append(text)
        labels.append(label)
        key = " ".join(str(group or "").split()) or text  # a blank passage groups nothing
        groups.append(Coin.of(key).digest.hex()[:16])
        held_out.append(split in source.test)
    return SourceRows(
        texts,
        labels,
        groups=groups if task.group else None,
        held_out=held_out if source.test else None,
        dropped=dict(dropped),
        made_of={
            "repo": source.repo,
            "config": source.config,
            "revision": source.revision,
            "commit": located.commit,
            "splits": list(source.splits),
            "rows_read": dict(rows_read),
            "formatting": "published" if published else "repaired",
        },
    )


def _dialogue(row: HubRow) -> str:
    return "\n".join(row.texts("dialogue"))


def _reason_open(row: HubRow) -> str:
    """Rows of one scenario differ in the reason given."""
    return row.text("scenario").split(" because ")[0]


def _without_trait(row: HubRow) -> str:
    return row.text("scenario").split("[SEP]")[0]


def _words(row: HubRow) -> str:
    """Pairs were made by swapping words: a sentence recurs with its words in another order."""
    return " ".join(sorted(row.text("sentence1").lower().split()))


def _first_sentence(row: HubRow) -> str:
    """The scenarios of a pair are one story with different endings."""
    return row.text("baseline").split(".")[0]


def _opening(row: HubRow) -> str:
    """Some dialogues continue others."""
    return row.text("chosen").split(formats.PREFERENCE_TURN)[0]


def _ethics(config: str) -> HubSource:
    return HubSource(
        "hendrycks/ethics",
        ("train",),
        ("test_hard",),
        config,
        "b8b47c589f8bee77175b8648e5497278b68da48a",
    )


def _super_glue(config: str) -> HubSource:
    commit = "3de24cf8022e94f4ee4b9d55a6f539891524d646"
    return HubSource("aps/super_glue", ("train",), ("validation",), config, commit)


_MC_TACO = HubSource("CogComp/mc_taco", ("validation",), ("test",), revision=CONVERTED)
_SCIQ = HubSource(
    "allenai/sciq",
    ("train", "validation"),
    ("test",),
    "",
    "2c94ad3e1aafab77146f384e23536f97a4849815",
)
_SCIQ_PUBLISHED = replace(_SCIQ, train=("train", "validation", "test"), test=())

HUB_TASKS: dict[str, HubTask] = {
    "anli-r2": HubTask(
        HubSource(
            "facebook/anli",
            ("train_r2",),
            ("test_r2",),
            "plain_text",
            "8e4813d81f46d313dac7892e1c28076917cfcdf9",
        ),
        formats.anli,
        "the premise entails the hypothesis",
        (45_460, 1_000),
        group="premise",
    ),
    "cola": HubTask(
        HubSource(
            "nyu-mll/glue",
            ("train",),
            ("validation",),
            "cola",
            "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
        ),
        formats.bare("sentence"),
        "acceptable English",
        (8_551, 1_043),
    ),
    "dream": HubTask(
        HubSource(
            "dataset-org/dream",
            ("train",),
            ("test",),
            "plain_text",
            "ca4c45feaf089ecfc37579eb2c594375f70dbfd5",
        ),
        formats.dream,
        "the right answer is shown",
        (6_116, 2_041),
        group=_dialogue,
    ),
    "ethics-deontology": HubTask(
        _ethics("deontology"),
        formats.deontology,
        "a reasonable excuse",
        (18_164, 3_536),
        group="scenario",
    ),
    "ethics-justice": HubTask(
        _ethics("justice"), formats.justice, "just", (21_791, 2_052), group=_reason_open
    ),
    "ethics-virtue": HubTask(
        _ethics("virtue"), formats.virtue, "the trait fits", (28_245, 4_780), group=_without_trait
    ),
    "ethics-utilitarianism": HubTask(
        _ethics("utilitarianism"),
        formats.utilitarianism,
        "the more pleasant scenario is named",
        (13_737, 4_271),
        group=_first_sentence,
    ),
    "mc_taco": HubTask(
        _MC_TACO,
        formats.mc_taco,
        "a plausible answer",
        (3_783, 9_442),
        group="sentence",
        published_source=replace(_MC_TACO, train=_MC_TACO.test, test=_MC_TACO.train),
    ),
    "hellaswag": HubTask(
        HubSource(
            "Rowan/hellaswag",
            ("train",),
            ("validation",),
            "",
            "218ec52e09a7e7462a5400043bb9a69a41d06b76",
        ),
        formats.hellaswag,
        "the right ending is shown",
        (39_905, 10_042),
        group="source_id",
    ),
    "multirc": HubTask(
        _super_glue("multirc"),
        formats.multirc,
        "a right answer",
        (27_243, 4_848),
        group="paragraph",
    ),
    "openbookqa": HubTask(
        HubSource(
            "allenai/openbookqa",
            ("train",),
            ("test",),
            "main",
            "388097ea7776314e93a529163e0fea805b8a6454",
        ),
        formats.openbookqa,
        "the right answer is shown",
        (4_957, 500),
        group="question_stem",
        published_format=formats.openbookqa_published,
    ),
    "paws": HubTask(
        HubSource(
            "google-research-datasets/paws",
            ("train",),
            ("test",),
            "labeled_final",
            "161ece9501cf0a11f3e48bd356eaa82de46d6a09",
        ),
        formats.paws,
        "a paraphrase",
        (49_401, 8_000),
        group=_words,
    ),
    "piqa": HubTask(
        HubSource(
            "baber/piqa",
            ("train",),
            ("validation",),
            "",
            "142f6d7367fd9877f0fb3b5734ea6a545f54cdd1",
        ),
        formats.piqa,
        "the right solution is shown",
        (16_113, 1_838),
        group="goal",
    ),
    "quail": HubTask(
        HubSource(
            "textmachinelab/quail",
            ("train",),
            ("validation",),
            "quail",
            "2bd9d7f90a532fe1a910b70972cef5fda341c8fe",
        ),
        formats.quail,
        "the right answer is shown",
        (10_246, 2_164),
        group="context",
    ),
    "quartz": HubTask(
        HubSource(
            "allenai/quartz", ("train",), ("test",), "", "28c1dbb56caf81799296cb17892fa73402e23464"
        ),
        formats.quartz,
        "the right answer is shown",
        (2_696, 784),
        group="para",
    ),
    "social_i_qa": HubTask(
        HubSource(
            "lighteval/siqa",
            ("train",),
            ("validation",),
            "",
            "54c6a1f8cb6daf4f5abf24a601852612fb35eb25",
        ),
        formats.social_i_qa,
        "the right answer is shown",
        (33_410, 1_954),
        group="context",
    ),
    "sst2": HubTask(
        HubSource(
            "stanfordnlp/sst2",
            ("train",),
            ("validation",),
            "",
            "8d51e7e4887a4caaa95b3fbebbf53c0490b58bbb",
        ),
        formats.bare("sentence"),
        "positive",
        (67_349, 872),
    ),
    "wic": HubTask(
        _super_glue("wic"),
        formats.wic,
        "the word has one sense in both",
        (5_428, 638),
        group="word",
    ),
    "twitter-sentiment": HubTask(
        HubSource(
            "EleutherAI/twitter-sentiment",
            ("train",),
            ("test",),
            stream={"train": 24_000, "test": 12_000},
        ),
        formats.bare("text"),
        "positive",
        (24_000, 10_000),
    ),
    "sciq": HubTask(
        _SCIQ,
        formats.sciq,
        "the right answer is shown",
        (12_679, 1_000),
        group="support",
        published_source=_SCIQ_PUBLISHED,
    ),
    "sciq_with_support": HubTask(
        _SCIQ,
        formats.sciq_with_support,
        "the right answer is shown",
        (12_679, 1_000),
        group="support",
        published_source=_SCIQ_PUBLISHED,
    ),
    "anthropic_hh": HubTask(
        HubSource(
            "Anthropic/hh-rlhf",
            ("train",),
            ("test",),
            "",
            "09be8c5bbc57cb3887f3a9732ad6aa7ec602a1fa",
            parts=4,
        ),
        formats.preference,
        "the second reply was preferred",
        (160_800, 8_552),
        group=_opening,
        published_format=formats.preference_published,
    ),
    "cosmos_qa": HubTask(
        HubSource(
            "allenai/cosmos_qa",
            ("train",),
            ("validation",),
            "default",
            "ed50fe83db62b355759053b1cd5eef344ee371e0",
        ),
        formats.cosmos_qa,
        "the right answer is shown",
        (25_262, 2_985),
        group="context",
        published_format=formats.cosmos_qa_published,
    ),
    "boolq": HubTask(
        HubSource(
            "google/boolq",
            ("train",),
            ("validation",),
            "",
            "35b264d03638db9f4ce671b711558bf7ff0f80d5",
        ),
        formats.boolq,
        "yes",
        (9_427, 3_270),
        group="passage",
    ),
    "amazon_polarity": HubTask(
        HubSource(
            "fancyzhx/amazon_polarity",
            ("train",),
            ("test",),
            "amazon_polarity",
            "9d9c45c18f8c3cf1b23a3c27917b60cbf28f3289",
            stream={"train": 24_000, "test": 12_000},
        ),
        formats.bare("title", "content"),
        "positive",
        (24_000, 12_000),
    ),
}
