"""Settings of a job: typed, frozen, read from YAML and described by a JSON schema."""

import json
from pathlib import Path
from typing import Any, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from helicell.core.errors import InputError, suggestion
from helicell.core.runs.files import write_text

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Settings(BaseModel):
    """Base class of all settings: unknown keys are refused and values cannot be changed.

    Examples
    --------
    >>> class Sampling(Settings):
    ...     length: int = 80
    ...     steps: int = 50
    >>> Sampling.from_mapping({"steps": 100})
    Sampling(length=80, steps=100)
    >>> Sampling.from_mapping({"lenght": 90})
    Traceback (most recent call last):
    helicell.core.errors.InputError: settings: unknown key 'lenght' (did you mean 'length'?); known: length, steps
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=True)

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Read settings from a YAML file.

        Raises
        ------
        InputError
            If the file cannot be read, is not a YAML mapping, or holds a wrong key or value; the line names it.
        """
        path = Path(path)
        try:
            data = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
        except OSError as error:
            message = f"cannot read the settings file {path}: {error.strerror}"
            raise InputError(message) from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            message = f"{path} is not valid YAML: {' '.join(str(error).split())}"
            raise InputError(message) from error
        if data is not None and not isinstance(data, dict):
            message = f"{path} holds a {type(data).__name__}, expected a mapping of keys to values"
            raise InputError(message)
        return cls.from_mapping(data or {}, source=str(path))

    @classmethod
    def from_mapping(cls, data: dict[str, Any], *, source: str = "settings") -> Self:
        """Check a mapping and return the settings.

        Parameters
        ----------
        data
            Keys and values, nested as the fields are.
        source
            Where they come from, named in the error.

        Raises
        ------
        InputError
            If a key or a value is wrong.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            message = f"{source}: {'; '.join(_explain(cls, detail) for detail in error.errors())}"
            raise InputError(message) from error

    def to_mapping(self) -> dict[str, Any]:
        """Return the settings as plain values that YAML and JSON can hold."""
        return self.model_dump(mode="json")

    def to_yaml(self, path: str | Path) -> None:
        """Write the settings as YAML, every key included, whole or not at all."""
        write_text(path, yaml.safe_dump(self.to_mapping(), sort_keys=False, allow_unicode=True))

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return the JSON schema that the keys and values of a settings file follow."""
        return {"$schema": SCHEMA_DIALECT, **cls.model_json_schema()}


class _UniqueKeyLoader(yaml.SafeLoader):
    """Plain YAML that refuses a key given twice, of which PyYAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        repeated = next((key for position, key in enumerate(keys) if key in keys[:position]), None)
        if repeated is not None:
            raise yaml.constructor.ConstructorError(None, None, f"the key {repeated!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _explain(model: type[BaseModel], detail: ErrorDetails) -> str:
    """Put one finding of pydantic into words."""
    location = detail["loc"]
    key = ".".join(str(part) for part in location)
    if detail["type"] == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        listed = f"; known: {', '.join(known)}" if known else ""
        return f"unknown key {key!r}{suggestion(str(location[-1]), known)}{listed}"
    if detail["type"] == "missing":
        return f"the key {key!r} is missing"
    reason = detail["msg"].removeprefix("Value error, ")
    reason = reason[:1].lower() + reason[1:]
    if not key:
        return reason
    return f"{key} is {_shorten(detail['input'])}: {reason}"


def _known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the settings nested at `location`, where that is certain."""
    for part in location:
        field = model.model_fields.get(str(part))
        nested = _nested_models(field.annotation) if field else []
        if len(nested) != 1:
            return []
        model = nested[0]
    return list(model.model_fields)


def _nested_models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _nested_models(argument)]


def _shorten(value: object, *, width: int = 60) -> str:
    try:
        text = json.dumps(value)
    except TypeError:
        text = repr(value)
    return text if len(text) <= width else f"{text[: width - 3]}..."
