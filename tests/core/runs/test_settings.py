"""Settings: from and to YAML, one-line errors, and a JSON schema that says the same."""

import json
from typing import Literal

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import Field, ValidationError

from helicell.core.errors import InputError
from helicell.core.runs.settings import Settings


class Optimiser(Settings):
    """How to descend."""

    learning_rate: float = Field(1e-3, gt=0)
    """The step size."""
    warmup: int = 100


class Training(Settings):
    """A small tree of settings with every kind of value."""

    name: Literal["compact", "framediff"] = "compact"
    lengths: tuple[int, ...] = (60, 80)
    optimiser: Optimiser = Optimiser()
    extra: Optimiser | None = None
    note: str | None = None


def write(path, text):
    """Write a settings file and return its path."""
    path.write_text(text)
    return path


def test_yaml_round_trip(tmp_path):
    """What is written is read back equal, nested values and tuples included, and nothing else is left behind."""
    settings = Training(lengths=(1, 2, 3), optimiser=Optimiser(learning_rate=2.5e-7), note="ü: yes")
    settings.to_yaml(tmp_path / "settings.yaml")
    assert Training.from_yaml(tmp_path / "settings.yaml") == settings
    assert [file.name for file in tmp_path.iterdir()] == ["settings.yaml"]


def test_an_empty_file_gives_the_defaults(tmp_path):
    """A settings file need only hold what differs."""
    assert Training.from_yaml(write(tmp_path / "s.yaml", "# nothing\n")) == Training()


def test_exponent_without_a_point_is_a_number(tmp_path):
    """YAML 1.1 reads 1e-4 as text; users mean the number."""
    settings = Training.from_yaml(write(tmp_path / "s.yaml", "optimiser: {learning_rate: 1e-4}"))
    assert settings.optimiser.learning_rate == 1e-4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lenghts: [3]", "unknown key 'lenghts' (did you mean 'lengths'?)"),
        ("optimiser: {warm_up: 3}", "unknown key 'optimiser.warm_up' (did you mean 'warmup'?); known: learning_rate"),
        ("extra: {warm_up: 3}", "unknown key 'extra.warm_up' (did you mean 'warmup'?)"),
        ("name: frame", "name is \"frame\": input should be 'compact' or 'framediff'"),
        ("optimiser: {learning_rate: -1}", "optimiser.learning_rate is -1: input should be greater than 0"),
        ("lengths: [3, x]", 'lengths.1 is "x": input should be a valid integer'),
        ("- a\n- b", "holds a list, expected a mapping"),
        ("a: [1", "is not valid YAML"),
        ("name: compact\nname: framediff", "the key 'name' is given twice"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_the_key(tmp_path, text, expected):
    """The user is told the file, the key as it stands there, and what was meant or is allowed."""
    path = write(tmp_path / "s.yaml", text)
    with pytest.raises(InputError) as caught:
        Training.from_yaml(path)
    message = str(caught.value)
    assert expected in message
    assert str(path) in message
    assert "\n" not in message


def test_a_missing_file_is_bad_input(tmp_path):
    """The line names the file."""
    with pytest.raises(InputError, match=r"none\.yaml: No such file"):
        Training.from_yaml(tmp_path / "none.yaml")


def test_settings_cannot_be_changed():
    """Settings that were written beside results stay what they were."""
    with pytest.raises(ValidationError, match="frozen"):
        Training().note = "other"


def test_the_schema_and_the_settings_agree():
    """The JSON schema accepts what the settings write, refuses what they refuse, and carries the descriptions."""
    schema = Training.json_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert json.loads(json.dumps(schema)) == schema
    assert validator.is_valid(Training(note="x").to_mapping())
    assert validator.is_valid(yaml.safe_load("optimiser: {warmup: 3}"))
    assert not validator.is_valid({"lenghts": [3]})
    assert not validator.is_valid({"optimiser": {"learning_rate": 0}})
    assert schema["$defs"]["Optimiser"]["properties"]["learning_rate"]["description"] == "The step size."
