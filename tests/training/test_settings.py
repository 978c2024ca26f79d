import pytest
from pydantic import ValidationError

from w2sprobe.training.settings import TrainSettings


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("auto", "auto"),
        ("0.15", "0.15"),
        (".15", "0.15"),
        (0.15, "0.15"),
        (0, "0.0"),
        (".5", "0.5"),
    ],
)
def test_radius_has_one_spelling(given, kept):
    settings = TrainSettings(window_radius=given)
    assert settings.window_radius == kept
    assert TrainSettings(**settings.model_dump()) == settings


@pytest.mark.parametrize("given", ["Auto", "0.6", -0.1, "wide", "nan", "inf", None, True, [0.1]])
def test_radius_that_is_none_is_refused_with_its_value(given):
    with pytest.raises(ValidationError) as error:
        TrainSettings(window_radius=given)
    assert "neither 'auto' nor a number from 0 to 0.5" in str(error.value)
    assert repr(given) in str(error.value)


@pytest.mark.parametrize(
    "field",
    [
        {"loss": "hinge"},
        {"loss_alpha": 1.5},
        {"loss_alpha": -0.1},
        {"reverse_log_zero": 0.0},
        {"generalised_q": 0.0},
        {"generalised_q": 1.1},
    ],
)
def test_options_out_of_range_are_refused(field):
    with pytest.raises(ValidationError, match=next(iter(field))):
        TrainSettings(**field)


def test_defaults_are_those_of_the_published_runs():
    settings = TrainSettings()
    assert (settings.loss, settings.loss_alpha, settings.window_radius) == ("xent", 0.5, "auto")


@pytest.mark.parametrize("other", [{"lora_from_layer": 3}, {"precision": "4bit"}])
def test_full_is_refused_beside_options_of_lora(other: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="full trains all weights and cannot be combined"):
        TrainSettings(full=True, **other)


def test_settings_that_change_no_weight_are_not_part_of_the_identity() -> None:
    plain = TrainSettings()
    watched = TrainSettings(report_to="tensorboard", gradient_checkpointing=True)
    assert watched.identity == plain.identity
    assert TrainSettings(seed=1).identity != plain.identity
