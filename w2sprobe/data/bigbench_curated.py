"""The curated BIG-bench tasks: meaning of label 1, prompt, and groups of rows."""

from dataclasses import dataclass
from typing import Literal

ANSWER = "\nAnswer: "
GOES_ON = " "  # for questions that are the beginning of a sentence


@dataclass(frozen=True)
class CuratedTask:
    """Settings of a curated task, for `read_bigbench`.

    Parameters
    ----------
    name : str
        Path under BIG-bench's `benchmark_tasks`.
    rows : int
        Number of usable rows, without repeated texts.
    about : str
        Meaning of label 1.
    positive, negative : str, optional
        Classes that become 1 and 0. None: right and wrong choices become 1 and 0.
    lead : str, default ANSWER
        Text between question and choice; unused for classes.
    group : str, optional
        Regular expression; rows with the same matches in their question, whitespace normalised, are
        a group. None: rows with the same question are a group.
    never : str, optional
        Regular expression of choices that are not shown, because they are always wrong and can be
        recognised by their wording.
    """

    name: str
    rows: int
    about: str
    positive: str | None = None
    negative: str | None = None
    lead: str = ANSWER
    group: str | None = None
    never: str | None = None

    @property
    def mode(self) -> Literal["classes", "choices"]:
        """Kind of text: a question ("classes"), or a question with one choice ("choices")."""
        return "classes" if self.positive else "choices"


_LETTERS = r"[A-Za-z]+"  # numbers differ between variants of a problem
_LAST_SENTENCE = r"([^.!?]+[.!?])$"
_NOBODY_KNOWS = r"^(?:Can't|Cannot|Not|Undetermined|Unknown)\b"

_TASKS = (
    CuratedTask(
        "multiemo/all_sentence_en",
        36_320,
        "a review's sentence is positive, not negative",
        "positive",
        "negative",
    ),
    CuratedTask(
        "multiemo/medicine_sentence_en",
        15_961,
        "a sentence about doctors is a complaint, not neutral",
        "negative",
        "neutral",
    ),
    CuratedTask(
        "multiemo/reviews_sentence_en",
        1_842,
        "a sentence about a teacher is praise, not mixed",
        "positive",
        "ambivalent",
    ),
    CuratedTask(
        "epistemic_reasoning",
        2_000,
        "what one knows about others' beliefs entails the rest",
        "entailment",
        "non-entailment",
    ),
    CuratedTask(
        "fact_checker/fever",
        6_525,
        "a claim about the world is true",
        "true",
        "false",
        group=r"was made: (\S+ \S+)",
    ),
    CuratedTask(
        "formal_fallacies_syllogisms_negation",
        14_200,
        "a worded argument is deductively valid",
        "valid",
        "invalid",
    ),
    CuratedTask(
        "hyperbaton", 50_000, "the first of two adjective orders is the right one", "a", "b"
    ),
    CuratedTask(
        "logical_fallacy_detection",
        2_800,
        "an argument is valid",
        "Valid",
        "Invalid",
        group=r"(?:appropriate\.|'Invalid'\?) (.*?)(?: Therefore|$)",
    ),
    CuratedTask(
        "metaphor_boolean",
        680,
        "a sentence paraphrases a metaphor",
        "True",
        "False",
        group=r"^(.*?) <-->",
    ),
    CuratedTask(
        "movie_dialog_same_or_different",
        50_000,
        "two lines of a film are the same person's",
        "same",
        "different",
    ),
    CuratedTask("navigate", 1_000, "the steps lead back to the start", "True", "False"),
    CuratedTask(
        "play_dialog_same_or_different",
        3_264,
        "two lines of Shakespeare are the same person's",
        "same",
        "different",
        group=r"(.{1,40}) In the preceding",
    ),
    CuratedTask(
        "presuppositions_as_nli",
        605,
        "a presupposition follows, rather than being open",
        "entailment",
        "neutral",
        group=r"^(.*?) Sentence 2:",
    ),
    CuratedTask(
        "sports_understanding",
        986,
        "a sentence about an athlete is plausible",
        "plausible",
        "implausible",
        group=r"^\S+ \S+",
    ),
    CuratedTask("strategyqa", 2_289, "the answer to a many-step question is yes", "Yes", "No"),
    CuratedTask(
        "vitaminc_fact_verification",
        47_411,
        "a Wikipedia sentence supports a claim, not refutes it",
        "True",
        "False",
        group=r"^(.*?): ",
    ),
    CuratedTask(
        "winowhy",
        2_856,
        "the reason given for a pronoun's reading is correct",
        "correct",
        "incorrect",
        group=r"^(.*?) The '\w+' refers",
    ),
    CuratedTask(
        "abstract_narrative_understanding/4_distractors",
        1_000,
        "the proverb fits the story",
        lead="\nProverb: ",
    ),
    CuratedTask(
        "bbq_lite_json/age_disambig",
        672,
        "the right one of two people, of different age",
        group=_LAST_SENTENCE,
        never=_NOBODY_KNOWS,
    ),
    CuratedTask(
        "bbq_lite_json/gender_identity_disambig",
        1_672,
        "the right one of two people, of different gender",
        group=_LAST_SENTENCE,
        never=_NOBODY_KNOWS,
    ),
    CuratedTask(
        "bbq_lite_json/nationality_disambig",
        940,
        "the right one of two people, of different nationality",
        group=_LAST_SENTENCE,
        never=_NOBODY_KNOWS,
    ),
    CuratedTask(
        "bbq_lite_json/race_ethnicity_disambig",
        2_000,
        "the right one of two people, of different ethnicity",
        group=_LAST_SENTENCE,
        never=_NOBODY_KNOWS,
    ),
    CuratedTask(
        "bbq_lite_json/ses_disambig",
        976,
        "the right one of two people, of different wealth",
        group=_LAST_SENTENCE,
        never=_NOBODY_KNOWS,
    ),
    CuratedTask(
        "contextual_parametric_knowledge_conflicts",
        17_527,
        "the answer is the context's, not common knowledge",
        group=r"Question: (.*?) Context:",
    ),
    CuratedTask(
        "discourse_marker_prediction",
        857,
        "the marker between two sentences is the original",
        lead=GOES_ON,
    ),
    CuratedTask(
        "elementary_math_qa/question_only",
        7_688,
        "the result of a word problem is right",
        group=_LETTERS,
    ),
    CuratedTask(
        "elementary_math_qa/question_with_language_hint",
        7_688,
        "the same, with the calculation in words",
        group=_LETTERS,
    ),
    CuratedTask("goal_step_wikihow/goal_inference", 1_681, "a step serves this goal", lead=GOES_ON),
    CuratedTask("goal_step_wikihow/step_inference", 2_234, "a goal takes this step", lead=GOES_ON),
    CuratedTask(
        "goal_step_wikihow/step_ordering",
        3_100,
        "this step comes before the other one",
        group=r"^In order to '(.*?)', one can",
    ),
    CuratedTask(
        "intent_recognition", 693, "a request to an assistant has this intent", lead="\nIntent: "
    ),
    CuratedTask("logic_grid_puzzle", 1_000, "the house number solves the puzzle"),
    CuratedTask(
        "logical_deduction/five_objects",
        500,
        "a statement about an order of five things follows",
        lead="\nConclusion: ",
    ),
    CuratedTask(
        "logical_deduction/seven_objects",
        700,
        "a statement about an order of seven things follows",
        lead="\nConclusion: ",
    ),
    CuratedTask(
        "question_selection",
        1_554,
        "a question has the given answer in its context",
        lead="\nQuestion: ",
        group=r"Context:(.*)",
    ),
    CuratedTask(
        "real_or_fake_text/gpt2_xl",
        9_548,
        "GPT-2 XL took over with this sentence",
        lead="\nFirst sentence of the machine: ",
    ),
    CuratedTask(
        "real_or_fake_text/easy",
        903,
        "another article took over with this sentence",
        lead="\nFirst sentence of the other article: ",
    ),
    CuratedTask(
        "reasoning_about_colored_objects",
        2_000,
        "a colour, number, yes or no about things is right",
    ),
    CuratedTask(
        "salient_translation_error_detection",
        998,
        "a German-English mistranslation is of this kind",
        lead=GOES_ON,
        group=r"Source: (.*?) Translation:",
    ),
    CuratedTask(
        "social_iqa",
        1_933,
        "a motive, feeling or next act of someone is right",
        group=r"^(.*[.!?]) [^.!?]*\?$",
    ),
    CuratedTask("temporal_sequences", 1_000, "someone could have gone there at that time"),
    CuratedTask(
        "timedial",
        2_412,
        "a time or duration fits the gap of a dialogue",
        group=r"Context: ?(.{1,50})",
    ),
    CuratedTask(
        "tracking_shuffled_objects/three_objects",
        750,
        "what one of three people has after swaps is right",
        lead=GOES_ON,
    ),
    CuratedTask(
        "tracking_shuffled_objects/five_objects",
        1_250,
        "what one of five people has after swaps is right",
        lead=GOES_ON,
    ),
    CuratedTask(
        "unit_conversion/different_systems",
        2_998,
        "a quantity in another unit is right",
        lead=GOES_ON,
        group=_LETTERS,
    ),
)

CURATED = {task.name: task for task in _TASKS}
