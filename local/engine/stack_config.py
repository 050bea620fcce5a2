"""Reads Pulumi.yaml and Pulumi.<stack>.yaml as the Pulumi CLI does before it starts a program.

The SDK never reads these files. The CLI merges the stack's values over the project's schema, checks them and
passes flat strings to the program. The rules follow the CLI's packages `workspace/project` and
`workspace/config`:

- keys without a namespace belong to the project,
- a value of the stack replaces a whole default,
- a declared key without a default must be set,
- scalars become strings, everything else JSON.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml  # type: ignore[import-untyped]


class ConfigError(Exception):
    """The project's or the stack's configuration is invalid. The message is one sentence."""


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """What the CLI passes to a program: its folders, its names, and its flat configuration."""

    project: str
    stack: str
    root: Path
    program: Path  # the folder that holds __main__.py
    values: Mapping[str, str]  # "namespace:key" -> value; objects as JSON
    name_pattern: str  # of pulumi:autonaming


# The AWS provider's default: the logical name and seven hex digits.
DEFAULT_NAME_PATTERN = "${name}-${hex(7)}"
_YAML_1_1_TAGS = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")


def load_stack_config(root: Path, stack: str, overrides: Mapping[str, Any] | None = None) -> StackConfig:
    """Returns the merged, checked configuration of `stack` of the project in `root`.

    `overrides` replace values of the stack's file, as `pulumi config set` does; None removes one. Raises
    ConfigError.
    """
    project_file = root / "Pulumi.yaml"
    project = _read(project_file)
    name = project.get("name")
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{project_file} has no `name`.")
    stack_file = root / str(project.get("stackConfigDir") or ".") / f"Pulumi.{stack}.yaml"
    if not stack_file.exists():
        raise ConfigError(f"There is no stack {stack!r}: {stack_file} does not exist.")
    values = {
        _qualify(name, key): value for key, value in _section(_read(stack_file), "config", stack_file).items()
    }
    for key, value in (overrides or {}).items():
        if value is None:
            values.pop(_qualify(name, key), None)
        else:
            values[_qualify(name, key)] = value
    _refuse_secure_values(values, stack_file)
    _apply_schema(_section(project, "config", project_file), name, stack, values)
    return StackConfig(
        project=name,
        stack=stack,
        root=root,
        program=root / str(project.get("main") or "."),
        values={key: _flat(value) for key, value in values.items()},
        name_pattern=_name_pattern(values.get("pulumi:autonaming")),
    )


# libyaml's loader, ten times as fast, where PyYAML was built with it.
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc]
    """Reads scalars as the CLI does (YAML 1.2): `yes`, `on` and dates are text."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, Any]]]] = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _YAML_1_1_TAGS]
        for first, resolvers in _SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506  a SafeLoader
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist.") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold a mapping.")
    return content


def _section(content: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    section = content.get(key) or {}
    if not isinstance(section, dict) or not all(isinstance(name, str) for name in section):
        raise ConfigError(f"`{key}` in {path} must be a mapping of names.")
    return section


def _qualify(project: str, key: str) -> str:
    return key if ":" in key else f"{project}:{key}"


def _refuse_secure_values(values: Mapping[str, Any], path: Path) -> None:
    for key, value in values.items():
        if _holds_secure(value):
            raise ConfigError(
                f"{key} in {path.name} is encrypted (`secure:`), and only the Pulumi CLI can decrypt it: "
                f"set a plain value for this run."
            )


def _holds_secure(value: Any) -> bool:
    if isinstance(value, dict):
        return set(value) == {"secure"} or any(_holds_secure(item) for item in value.values())
    return isinstance(value, list) and any(_holds_secure(item) for item in value)


def _apply_schema(schema: Mapping[str, Any], project: str, stack: str, values: dict[str, Any]) -> None:
    missing = []
    for key, declared in schema.items():
        qualified = _qualify(project, key)
        own = qualified.startswith(f"{project}:")
        if not isinstance(declared, dict):  # the short form: `key: value`
            declared = {"default" if own else "value": declared}
        _check_declaration(key, declared, own=own)
        if qualified not in values:
            preset = declared.get("default", declared.get("value"))
            if preset is not None:
                values[qualified] = preset
            elif own:
                missing.append(key)
                continue
        if "type" in declared and not _has_type(values[qualified], declared["type"], declared.get("items")):
            raise ConfigError(
                f"Stack '{stack}' with configuration key '{key}' must be of type "
                f"'{_type_name(declared['type'], declared.get('items'))}', but is {values[qualified]!r}."
            )
        if declared.get("secret"):
            raise ConfigError(
                f"Stack '{stack}' with configuration key '{key}' must be encrypted as it is secret, "
                f"which only the Pulumi CLI can do."
            )
    if missing:
        *others, last = (f"'{key}'" for key in sorted(missing))
        names = f"{', '.join(others)} and {last}" if others else last
        plural = "s" if others else ""
        raise ConfigError(f"Stack '{stack}' is missing configuration value{plural} {names}.")


def _check_declaration(key: str, declared: Mapping[str, Any], *, own: bool) -> None:
    if own:
        if declared.get("type") == "array" and not declared.get("items"):
            raise ConfigError(f"'{key}' in Pulumi.yaml is an array, but the type of its `items` is missing.")
        default = declared.get("default")
        if (
            "type" in declared
            and default is not None
            and not _has_type(default, declared["type"], declared.get("items"))
        ):
            raise ConfigError(
                f"The default of '{key}' in Pulumi.yaml is not of its type "
                f"'{_type_name(declared['type'], declared.get('items'))}'."
            )
    elif "type" in declared or "default" in declared or declared.get("value") is None:
        raise ConfigError(
            f"'{key}' in Pulumi.yaml belongs to another namespace: it may have a `value` only, "
            f"no type and no default."
        )


def _has_type(value: Any, kind: str, items: Mapping[str, Any] | None) -> bool:
    match kind:
        case "string":  # the CLI reads every scalar of a stack file as text
            return isinstance(value, str | int | float | bool)
        case "integer":
            if isinstance(value, str):
                return value.lstrip("+-").isdigit()
            if isinstance(value, float):
                return value.is_integer()
            return isinstance(value, int) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool) or value in ("true", "false")
        case "object":
            return isinstance(value, dict)
        case "array":
            return (
                isinstance(value, list)
                and items is not None
                and all(_has_type(item, items["type"], items.get("items")) for item in value)
            )
    raise ConfigError(f"Pulumi.yaml uses the unknown configuration type '{kind}'.")


def _type_name(kind: str, items: Mapping[str, Any] | None) -> str:
    return f"array<{_type_name(items['type'], items.get('items'))}>" if items else kind


def _flat(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _name_pattern(autonaming: Any) -> str:
    if autonaming is None:
        return DEFAULT_NAME_PATTERN
    if isinstance(autonaming, dict):
        if autonaming.get("pattern"):
            return str(autonaming["pattern"])
        if autonaming.get("mode") == "verbatim":
            return "${name}"
        if autonaming.get("mode") == "default":
            return DEFAULT_NAME_PATTERN
    raise ConfigError(
        "pulumi:autonaming must have a `pattern`, or one of the modes default and verbatim; "
        "others are not supported."
    )
