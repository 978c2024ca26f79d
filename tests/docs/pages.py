"""What the pages tell a reader to type."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SHELL = ("", "console", "sh", "bash")


def blocks(page: str, *languages: str) -> list[str]:
    """Fenced blocks of a page, by its path in the checkout."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [body for language, body in FENCE.findall(text) if language in languages]


def commands(page: str) -> list[str]:
    """Lines for a shell that run w2sprobe or make, continued ones joined, without comments."""
    found = []
    for block in blocks(page, *SHELL):
        for line in block.replace("\\\n", " ").splitlines():
            typed = line.partition(" > ")[0]  # a test needs no file of what is printed
            words = shlex.split(typed, comments=True) if _is_command(line) else []
            if words:
                found.append(shlex.join(words))
    return found


def _is_command(line: str) -> bool:
    return line.startswith(("w2sprobe ", "make "))
