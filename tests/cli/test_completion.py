"""What a shell is offered."""

import os
import subprocess
import sys

import pytest
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from w2sprobe.cli import COMMANDS, root

NAME = "_W2SPROBE_COMPLETE"


def offered(*words: str) -> set[tuple[str, str]]:
    """Kind and value of what may follow; the last word is incomplete."""
    *before, incomplete = words
    shell = ShellComplete(root, {}, "w2sprobe", NAME)
    return {(item.type, item.value) for item in shell.get_completions(before, incomplete)}


def values(*words: str) -> set[str]:
    return {value for kind, value in offered(*words) if kind == "plain"}


def test_commands_and_their_options() -> None:
    assert values("") == set(COMMANDS)
    assert values("tr") == {"train"}
    assert {"--model", "--task", "--labels"} <= values("train", "--")
    assert {"--store", "--tolerance"} <= values("probe", "check", "--")
    assert "--tolerance" not in values("probe", "knn", "--")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("run", "--preset", "d"), {"demo"}),
        (("probe", "kn"), {"knn"}),
        (("train", "--loss", "win"), {"window"}),
        (("train", "--task", "openb"), {"openbookqa"}),
        (("tasks", "show", "bigbench:strat"), {"bigbench:strategyqa"}),
        (("tasks", "mirror", "boolq", "sci"), {"sciq", "sciq_with_support"}),
        (("run", "--weak-model", "mini"), {"minilm-l6"}),
        (("run", "--strong-model", "big"), set()),  # data, not a model
        (("fetch", "big"), {"bigbench"}),
        (("fetch", "smollm2-135m", "de"), {"demo"}),
        (("stats", "published", "--compare", "knn_f"), {"knn_filter"}),
        (("stats", "pub"), {"published"}),
    ],
)
def test_names_that_are_known(words: tuple[str, ...], expected: set[str]) -> None:
    assert values(*words) == expected


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("train", "--task", "rev"), "file"),
        (("train", "--model", "runs/"), "dir"),
        (("run", "exp"), "file"),
        (("plan", "exp"), "file"),
        (("stats", "res"), "file"),
    ],
)
def test_files_and_folders_follow_names(words: tuple[str, ...], kind: str) -> None:
    assert offered(*words) == {(kind, words[-1])}


@pytest.mark.parametrize("kind", [BashComplete, ZshComplete, FishComplete])
def test_every_shell_has_a_script(kind: type[ShellComplete]) -> None:
    assert NAME in kind(root, {}, "w2sprobe", NAME).source_vars().values()
    assert "w2sprobe" in kind.source_template % kind(root, {}, "w2sprobe", NAME).source_vars()


def test_the_command_itself_answers() -> None:
    """As the script calls it, through `main`."""
    code = "import sys; sys.argv[0] = 'w2sprobe'; from w2sprobe.cli import main; main()"
    asked = {NAME: "bash_complete", "COMP_WORDS": "w2sprobe train --task boolq_", "COMP_CWORD": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["file,boolq_"]
