"""Messages about errors in a config: path in the file, value, what is allowed, nearest name."""

import dataclasses
import difflib
import types
from collections.abc import Collection
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails

UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")  # of a model, of a dataclass
SCALARS = (str, int, float, type(None))
ONE, SEVERAL = "one", "several"  # tags of sections that may be lists


def describe(error: ValidationError, model: type[BaseModel]) -> str:
    """List all errors that pydantic found, one clause per path.

    Returns
    -------
    str
        `probes.l2: Input should be greater than 0, got -1; strong.epoch: unknown key; ...`
    """
    messages_at: dict[str, list[str]] = {}
    for problem in error.errors():
        path, kind = _locate(problem["loc"], model)
        if problem["type"] in UNKNOWN_KEY:
            path += [str(problem["loc"][-1])]
        messages_at.setdefault(".".join(path), []).append(_message(problem, kind))
    return "; ".join(
        f"{path}: {' or '.join(messages)}" if path else " or ".join(messages)
        for path, messages in messages_at.items()
    )


def _locate(location: tuple[int | str, ...], model: type[BaseModel]) -> tuple[list[str], Any]:
    """Path in the file, and the type that is expected there."""
    path: list[str] = []
    kind: Any = model
    for part in location:
        fields, tagged = _fields(kind), _tagged(kind)
        if part in tagged:
            kind = tagged[part]
            continue
        if get_origin(kind) is dict:
            kind = get_args(kind)[1]
        elif get_origin(kind) is tuple:
            kind = _bare(get_args(kind)[0])
        elif part in fields:
            kind = fields[part]
        else:  # pydantic appends the member of a union that it tried
            break
        path.append(str(part))
    return path, kind


def _fields(kind: Any) -> dict[Any, Any]:
    """Names and types of the keys of a section; empty for other types."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        hints = {name: field.annotation for name, field in kind.model_fields.items()}
    elif dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
    else:
        hints = {}
    return {name: _given(hint) for name, hint in hints.items()}


def _tagged(kind: Any) -> dict[Any, Any]:
    """Members of a union by tag; tags are in the path of an error, but not in the file."""
    members = [member for member in get_args(kind) if get_origin(member) is Annotated]
    return {
        data.tag: _bare(member)
        for member in members
        for data in member.__metadata__
        if type(data) is Tag
    }


def _bare(hint: Any) -> Any:
    """Type without its annotations."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _given(hint: Any) -> Any:
    """Type without None."""
    members = [member for member in get_args(hint) if member is not type(None)]
    is_union = get_origin(hint) in (Union, types.UnionType)
    return members[0] if is_union and len(members) == 1 else hint


def _message(problem: ErrorDetails, kind: Any) -> str:
    fields = _fields(kind)
    names = ", ".join(fields)
    if problem["type"] in UNKNOWN_KEY:
        return f"unknown key{nearest(problem['loc'][-1], fields)}; allowed: {names}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] in ("model_type", "dataclass_type"):
        message = f"not a section; allowed: one with the keys {names}"
    elif problem["type"] == "tuple_type":
        message = "not a list"
    if problem["type"] != "missing" and isinstance(problem["input"], SCALARS):
        message += f", got {problem['input']!r}"
    if get_origin(kind) is Literal:
        message += nearest(problem["input"], get_args(kind))
    return message


def unknown(kind: str, name: str, known: Collection[str]) -> str:
    """Message about an unknown name, with the known ones."""
    return f"unknown {kind} {name!r}{nearest(name, known)}; allowed: {', '.join(known)}"


def nearest(name: Any, allowed: Collection[str]) -> str:
    """Suggestion of a similar name, in parentheses; empty if there is none."""
    near = difflib.get_close_matches(str(name), allowed, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
