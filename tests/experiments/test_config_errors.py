"""Messages about errors in a config: path, value, what is allowed, nearest name."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from w2sprobe.experiments.config_errors import ONE, SEVERAL, describe, nearest, unknown


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    epochs: int = Field(1, gt=0)
    loss: Literal["xent", "logconf"] = "xent"
    rate: float | None = None


def how_many(value: Any) -> str:
    return SEVERAL if isinstance(value, list) else ONE


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid")

    strong: Annotated[
        Annotated[Inner, Tag(ONE)] | Annotated[tuple[Inner, ...], Tag(SEVERAL)],
        Discriminator(how_many),
    ] = Inner()
    define: dict[str, Inner] = {}
    names: tuple[str, ...] = ()


def told(values: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        Config.model_validate(values)
    return describe(caught.value, Config)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"strong": {"epochs": -1}},
            "strong.epochs: Input should be greater than 0, got -1",
        ),
        (
            {"strong": {"epoch": 1}},
            "strong.epoch: unknown key (did you mean 'epochs'?); allowed: epochs, loss, rate",
        ),
        ({"stron": {}}, "stron: unknown key (did you mean 'strong'?); allowed: strong, define"),
        ({"strong": 3}, "strong: not a section; allowed: one with the keys epochs, loss, rate"),
        ({"strong": [{}, {"loss": "logcon"}]}, "strong.1.loss: "),
        ({"strong": {"loss": "logcon"}}, "got 'logcon' (did you mean 'logconf'?)"),
        ({"define": {"mine": {"rate": "x"}}}, "define.mine.rate: "),
        ({"names": 3}, "names: not a list, got 3"),
    ],
    ids=str,
)
def test_a_message_has_path_value_and_what_is_allowed(values: dict[str, Any], message: str) -> None:
    assert message in told(values)


def test_all_mistakes_are_listed_without_the_tags_of_unions() -> None:
    text = told({"strong": {"epochs": 0}, "names": [1], "define": {"a": {"b": 1}}})
    paths = [clause.split(":")[0] for clause in text.split("; ") if ":" in clause]
    assert {"strong.epochs", "names.0", "define.a.b"} <= {*paths}
    assert f".{ONE}" not in text


def test_long_values_are_not_repeated() -> None:
    assert "got" not in told({"names": {"a": "x" * 500}})


def test_names_that_are_near_are_suggested() -> None:
    assert nearest("studnet", ["student", "weak"]) == " (did you mean 'student'?)"
    assert nearest("zebra", ["student", "weak"]) == ""
    assert unknown("method", "weke", ["weak"]) == (
        "unknown method 'weke' (did you mean 'weak'?); allowed: weak"
    )
