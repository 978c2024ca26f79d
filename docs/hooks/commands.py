"""The command line's reference, from the commands themselves."""

import html
import inspect
import re
from collections.abc import Iterator
from typing import Any

import click

from w2sprobe.cli import root

MARK = "<!-- commands -->"
VERBATIM = "\b\n"  # click's mark of a paragraph whose lines are kept


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the mark of the page that has it."""
    if MARK not in markdown:
        return markdown
    pages = (_page(command, context) for command, context in _commands(root, None))
    return markdown.replace(MARK, "\n\n".join(pages))


def _commands(
    group: click.Group, parent: click.Context | None
) -> Iterator[tuple[click.Command, click.Context]]:
    context = click.Context(group, info_name=group.name if parent else "w2sprobe", parent=parent)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield command, click.Context(command, info_name=name, parent=context)
            yield from _commands(command, context)
        elif command is not None:
            yield command, click.Context(command, info_name=name, parent=context)
            for inner_name, inner in getattr(command, "commands", {}).items():
                yield inner, click.Context(inner, info_name=f"{name} {inner_name}", parent=context)


def _page(command: click.Command, context: click.Context) -> str:
    level = "##" if context.command_path.count(" ") == 1 else "###"
    parts = [f"{level} {context.command_path}"]
    if not isinstance(command, click.Group):
        usage = " ".join(command.collect_usage_pieces(context))
        parts.append(f"```text\n{context.command_path} {usage}\n```")
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    parts += [_paragraph(paragraph) for paragraph in paragraphs]
    records = [
        record
        for option in command.get_params(context)
        if isinstance(option, click.Option) and "--help" not in option.opts
        if (record := option.get_help_record(context))
    ]
    if records:
        rows = "\n".join(
            f"| <code>{_cell(html.escape(names))}</code> | {_cell(text)} |"
            for names, text in records
        )
        parts.append(f"| option | meaning |\n|---|---|\n{rows}")
    return "\n\n".join(parts)


def _paragraph(text: str) -> str:
    if not text.startswith(VERBATIM):
        return _escaped(text)
    first, *rest = text.removeprefix(VERBATIM).splitlines()
    if first.endswith(":"):  # a title, and what is below it
        return (
            f"{_escaped(first)}\n\n```text\n{inspect.cleandoc(chr(10) + chr(10).join(rest))}\n```"
        )
    return "```text\n" + "\n".join([first, *rest]) + "\n```"


def _escaped(text: str) -> str:
    return re.sub(r"([<*_])", r"\\\1", text)


def _cell(text: str) -> str:
    return text.replace("|", "&#124;").replace("\n", " ")
