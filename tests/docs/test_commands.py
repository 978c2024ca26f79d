"""What README and tutorial tell a reader to type is typed here, in their order.

Models are tiny ones under the names of the demo's. A command that is not in `NOT_RUN` is run; the
commands of all other pages are parsed.
"""

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.docs.conftest import write_reviews
from tests.docs.pages import ROOT, blocks, commands
from tests.integration.conftest import Workplace
from w2sprobe.cli import COMMANDS, root

# page to its commands that are parsed only, with the reason
NOT_RUN: dict[str, dict[str, str]] = {
    "README.md": {
        "make demo": "sets up an environment and runs the demo: minutes",
        "make test": "this is one of its tests",
    },
    "docs/howto/own-study.md": {
        "w2sprobe report results/demo results/other": "there is one; tests/reporting has two",
        "w2sprobe join results/seed0 results/seed1 --out results/both": "tests/experiments joins",
    },
    "docs/tutorial.md": {},
}
# what is typed instead: the tiny models have 4 layers, reviews.csv 60 rows to train on
SMALLER = {
    "results/demo": "results/smoke",
    "stats results/both": "stats results/smoke",
    "--preset demo": "experiment.yaml",
    "--preset smoke": "experiment.yaml",
    "--sizes 300,300,100,600": "--sizes 60,60,20,40",
    "--true-labels 50": "--true-labels 10 --ks 1,5",
    "--layers 8,15,22": "--layers 1,2,3",
    "--layers 15": "--layers 2",
    "--layers 0:16": "--layers 0:3",
    "--lora-from-layer 15": "--lora-from-layer 2",
    "--ks 1:200:log10": "--ks 1:40:log5",
}
pytestmark = pytest.mark.usefixtures("tiny_models")
EXPERIMENT = """\
name: smoke
task:
  name: bigbench:multiemo/all_sentence_en
  sizes: {weak_train: 24, strong_train: 24, val: 8, test: 24}
weak: {model: minilm-l6, epochs: 1}
strong: {model: smollm2-135m, epochs: 1}
probes: {n_neighbors: 10}
methods: [student, knn_probe, logistic_relabel]
"""
OTHERS = sorted(
    str(page.relative_to(ROOT))
    for page in (ROOT / "docs").rglob("*.md")
    if str(page.relative_to(ROOT)) not in NOT_RUN
)


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    write_reviews(tmp_path / "reviews.csv")
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    return Workplace(tmp_path)


def parse(arguments: list[str]) -> None:
    """Let click read a command, and run nothing."""
    command: click.Command = root
    context = None
    names = []
    while isinstance(command, click.Group):
        context = click.Context(command, parent=context)
        names.append(arguments[0])
        found = command.get_command(context, arguments[0])
        assert found is not None, f"no command {' '.join(names)}"
        command, arguments = found, arguments[1:]
    command.make_context(names[-1], list(arguments), parent=context)


def smaller(text: str) -> str:
    for shown, typed in SMALLER.items():
        text = text.replace(shown, typed)
    return text


def meant(word: str, folder: Path) -> list[str]:
    """What shell and reader make of a word: names with * or ..., a bucket."""
    if word.startswith("s3://"):
        return [str(folder / word.removeprefix("s3://"))]
    if "*" in word or "..." in word:
        pattern = re.sub(r"\w*\.\.\.", "*", word)
        found = sorted(str(path.relative_to(folder)) for path in folder.glob(pattern))
        assert found, f"nothing there that is like {word}"
        return found if "*" in word else found[:1]
    return [word]


@pytest.mark.parametrize("page", NOT_RUN)
def test_every_command_does_what_the_page_says(page: str, place: Workplace) -> None:
    planned = commands(page)
    assert set(NOT_RUN[page]) <= set(planned), "named here, but gone from the page"
    for command in planned:
        program, *words = shlex.split(smaller(command))
        if command in NOT_RUN[page]:
            check(program, words)
            continue
        assert program == "w2sprobe", f"not run: {command}"
        done = place.run(*(one for word in words for one in meant(word, place.folder)))
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def check(program: str, words: list[str]) -> None:
    if program == "w2sprobe":
        parse(words)
        return
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(words) <= set(targets)


@pytest.mark.parametrize("page", OTHERS)
def test_commands_of_other_pages_have_valid_options(page: str) -> None:
    for command in commands(page):
        program, *words = shlex.split(command)
        try:
            check(program, words)
        except click.UsageError as error:
            pytest.fail(f"{command}: {error.format_message()}")


def test_a_wrong_option_is_found() -> None:
    with pytest.raises(click.NoSuchOption):
        parse(["store", "ls", "--folder", "x"])
    with pytest.raises(click.MissingParameter):
        parse(["train", "--model", "minilm-l6"])
    with pytest.raises(AssertionError, match="no command store lst"):
        parse(["store", "lst"])


def test_examples_in_helps_have_valid_options() -> None:
    for name in COMMANDS:
        command = root.get_command(click.Context(root), name)
        subcommands = list(command.commands) if isinstance(command, click.Group) else []
        for words in [[name], *([name, sub] for sub in subcommands)]:
            shown = CliRunner().invoke(root, [*words, "--help"], terminal_width=200).output
            examples = shown.partition("Example")[2].replace("\\\n", " ").splitlines()
            for line in examples:
                if line.strip().startswith("w2sprobe "):
                    parse(shlex.split(line.partition(" > ")[0])[1:])


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("README.md", "python")
    code = re.sub(r'layers="\d+"', 'layers="2"', re.sub(r"read\(\d+\)", "read(2)", code))
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    result = names["result"]
    assert result.gap_interval[0] <= result.gap <= result.gap_interval[1]
    assert names["student"].shape == (len(names["rows"]),)
