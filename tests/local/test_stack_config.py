"""The program gets its configuration in the form that the Pulumi CLI uses."""

import json
from typing import Any

import pytest

from local.engine.stack_config import ConfigError, load_stack_config
from tests.local.conftest import WriteProject

SCHEMA = """
    level: {type: string, default: INFO}
    days: {type: integer, default: 14}
    active: {type: boolean, default: false}
    plans: {type: object, default: {free: {quota: 5}}}
    origins: {type: array, items: {type: string}, default: ["*"]}
"""


def test_a_key_that_the_stack_does_not_set_has_the_default_of_the_schema(write_project: WriteProject) -> None:
    values = load_stack_config(write_project(schema=SCHEMA, config="sample:days: 3"), "local").values

    assert values["sample:level"] == "INFO"
    assert values["sample:days"] == "3"
    assert values["sample:active"] == "false"


def test_objects_and_lists_are_json(write_project: WriteProject) -> None:
    values = load_stack_config(write_project(schema=SCHEMA), "local").values

    assert json.loads(values["sample:plans"]) == {"free": {"quota": 5}}
    assert json.loads(values["sample:origins"]) == ["*"]


def test_an_object_of_the_stack_replaces_the_default_as_a_whole(write_project: WriteProject) -> None:
    root = write_project(schema=SCHEMA, config="sample:plans: {paid: {quota: 9}}")

    assert json.loads(load_stack_config(root, "local").values["sample:plans"]) == {"paid": {"quota": 9}}


def test_bare_keys_belong_to_the_project(write_project: WriteProject) -> None:
    values = load_stack_config(write_project(schema=SCHEMA, config="days: 7"), "local").values

    assert values["sample:days"] == "7"


def test_values_of_other_namespaces_are_read_from_both_files(write_project: WriteProject) -> None:
    root = write_project(schema="aws:region: {value: eu-west-1}", config="aws:profile: none")

    values = load_stack_config(root, "local").values

    assert (values["aws:region"], values["aws:profile"]) == ("eu-west-1", "none")


def test_overrides_replace_the_values_of_the_stack(write_project: WriteProject) -> None:
    root = write_project(schema=SCHEMA, config="sample:days: 3")

    assert load_stack_config(root, "local", {"days": 5}).values["sample:days"] == "5"
    assert load_stack_config(root, "local", {"days": None}).values["sample:days"] == "14"


def test_the_pattern_for_physical_names_is_read(write_project: WriteProject) -> None:
    root = write_project(schema="pulumi:autonaming: {value: {pattern: 'x-${name}'}}")

    assert load_stack_config(root, "local").name_pattern == "x-${name}"


@pytest.mark.parametrize(
    ("schema", "config", "message"),
    [
        ("days: {type: integer}", "", "Stack 'local' is missing configuration value 'days'."),
        (
            "a: {type: string}\nb: {type: string}\nc: {type: string}",
            "",
            "Stack 'local' is missing configuration values 'a', 'b' and 'c'.",
        ),
        (
            "days: {type: integer, default: 1}",
            "sample:days: soon",
            "must be of type 'integer', but is 'soon'",
        ),
        ("days: {type: integer, default: 1}", "sample:days: 1.5", "must be of type 'integer', but is 1.5"),
        ("days: {type: integer, default: 1}", "sample:days: .inf", "must be of type 'integer', but is inf"),
        ("days: {type: integer, default: 1}", "sample:days: .nan", "must be of type 'integer', but is nan"),
        (
            "active: {type: boolean, default: true}",
            "sample:active: yes",
            "must be of type 'boolean', but is 'yes'",
        ),
        ("plans: {type: object, default: {}}", "sample:plans: 5", "must be of type 'object'"),
        (
            "list: {type: array, items: {type: integer}, default: []}",
            "sample:list: [a]",
            "must be of type 'array<integer>'",
        ),
        ("list: {type: array, default: []}", "", "but the type of its `items` is missing"),
        ("days: {type: integer, default: soon}", "", "default of 'days' in Pulumi.yaml is not of its type"),
        ("aws:region: {type: string}", "", "belongs to another namespace"),
        ("key: {type: string, default: x}", "sample:key: {secure: v1:abc}", "is encrypted (`secure:`)"),
        ("key: {type: object, default: {}}", "sample:key: {a: {secure: v1:abc}}", "is encrypted (`secure:`)"),
        ("pulumi:autonaming: {value: {mode: disabled}}", "", "pulumi:autonaming must have a `pattern`"),
    ],
)
def test_wrong_configuration_is_refused_in_one_sentence(
    write_project: WriteProject, schema: str, config: str, message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        load_stack_config(write_project(schema=schema, config=config), "local")

    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unknown_stack_is_named(write_project: WriteProject) -> None:
    with pytest.raises(ConfigError, match="There is no stack 'live'"):
        load_stack_config(write_project(), "live")


@pytest.mark.parametrize("value", [3, "3", 3.0])
def test_whole_numbers_may_be_written_in_any_way(write_project: WriteProject, value: Any) -> None:
    root = write_project(schema=SCHEMA)

    assert float(load_stack_config(root, "local", {"days": value}).values["sample:days"]) == 3
