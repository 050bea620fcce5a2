"""Programs run in this process as under Pulumi's engine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from local.engine.program import UNKNOWN, ProgramError, Resource, StackOutputs, run_program
from tests.local.conftest import WriteProject


class Echo:
    """Returns for each resource its physical name and the `answers` for its logical name."""

    def __init__(self, answers: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.answers = answers or {}

    def create(self, resource: Resource) -> tuple[str, Mapping[str, Any]]:
        answer = self.answers.get(resource.name, {})
        if "error" in answer:
            raise ValueError(answer["error"])
        return resource.physical_name, answer

    def invoke(self, token: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"token": token, **args}


COMPONENT = """
    import pulumi

    class Thing(pulumi.CustomResource):
        arn: pulumi.Output[str]

        def __init__(self, name, opts=None, **props):
            super().__init__("x:y:Thing", name, {"arn": None, **props}, opts)

    class Box(pulumi.ComponentResource):
        def __init__(self, name, opts=None):
            super().__init__("my:kit:Box", name, None, opts)
            self.inner = Thing(f"{name}-inner", size=3, opts=pulumi.ResourceOptions(parent=self))
            self.register_outputs({"size": 3})
"""


def test_resources_of_a_component_have_the_urns_of_the_engine(write_project: WriteProject) -> None:
    root = write_project(COMPONENT + '\n    Box("a")\n')

    run = run_program("local", Echo(), root=root)

    box, inner = run.get("my:kit:Box", "a"), run.get("x:y:Thing", "a-inner")
    assert box.urn == "urn:pulumi:local::sample::my:kit:Box::a"
    assert inner.urn == "urn:pulumi:local::sample::my:kit:Box$x:y:Thing::a-inner"
    assert run.children(box) == [inner]
    assert box.outputs == {"size": 3}


def test_two_resources_of_one_urn_are_refused(write_project: WriteProject) -> None:
    root = write_project(COMPONENT + '\n    Thing("a"); Thing("a")\n')

    with pytest.raises(ProgramError, match=r"duplicate resource URN .*x:y:Thing::a"):
        run_program("local", Echo(), root=root)


def test_outputs_are_passed_to_other_resources_and_exported(write_project: WriteProject) -> None:
    root = write_project(
        COMPONENT
        + """
    first = Thing("first")
    opts = pulumi.ResourceOptions(protect=True, aliases=[pulumi.Alias(name="old")])
    second = Thing("second", source=first.arn, opts=opts)
    pulumi.export("arn", first.arn)
    pulumi.export("nested", {"arns": [first.arn]})
    """
    )

    run = run_program("local", Echo({"first": {"arn": "arn:1"}}), root=root)

    first, second = run.get("x:y:Thing", "first"), run.get("x:y:Thing", "second")
    assert second.inputs["source"] == "arn:1"
    assert second.property_dependencies["source"] == (first.urn,)
    assert (second.protect, second.aliases) == (True, ("old",))
    assert run.outputs.values == {"arn": "arn:1", "nested": {"arns": ["arn:1"]}}


def test_secrets_stay_secret(write_project: WriteProject) -> None:
    root = write_project(
        COMPONENT
        + """
    opts = pulumi.ResourceOptions(additional_secret_outputs=["arn"])
    thing = Thing("a", password=pulumi.Output.secret("s3cret"), opts=opts)
    pulumi.export("password", thing.arn.apply(lambda arn: f"of {arn}"))
    pulumi.export("plain", "x")
    """
    )

    run = run_program("local", Echo({"a": {"arn": "arn:1"}}), root=root)

    thing = run.get("x:y:Thing", "a")
    assert thing.inputs["password"] == "s3cret"
    assert thing.secret_inputs == {"password"}
    assert run.outputs == StackOutputs(
        values={"password": "of arn:1", "plain": "x"}, secret_names=frozenset({"password"})
    )


def test_in_a_preview_computed_outputs_are_unknown_and_nothing_is_created(
    write_project: WriteProject,
) -> None:
    root = write_project(
        COMPONENT
        + """
    first = Thing("first", size=2)
    Thing("second", source=first.arn)
    pulumi.export("arn", first.arn)
    """
    )

    run = run_program("local", Echo({"first": {"error": "must not be created"}}), preview=True, root=root)

    assert run.get("x:y:Thing", "first").inputs == {"size": 2}
    assert run.get("x:y:Thing", "second").inputs == {"source": UNKNOWN}
    assert run.outputs.values == {"arn": UNKNOWN}


@pytest.mark.parametrize(
    "use",
    ['Thing("second", source=first.arn)', 'Thing("second", source=pulumi.Output.concat(first.arn, "/*"))'],
)
def test_an_input_from_a_missing_output_is_an_error(write_project: WriteProject, use: str) -> None:
    root = write_project(COMPONENT + f'\n    first = Thing("first")\n    {use}\n')

    with pytest.raises(ProgramError, match=r"'second': its input `source` depends on .* 'first'"):
        run_program("local", Echo({"first": {"other": 1}}), root=root)


def test_an_export_of_a_missing_output_is_an_error(write_project: WriteProject) -> None:
    root = write_project(COMPONENT + '\n    pulumi.export("arn", Thing("first").arn)\n')

    with pytest.raises(ProgramError, match="exports that use missing outputs of resources: arn"):
        run_program("local", Echo(), root=root)


def test_a_failure_is_reported_in_one_sentence_and_nothing_is_printed(
    write_project: WriteProject, capfd: pytest.CaptureFixture[str]
) -> None:
    root = write_project(
        COMPONENT
        + """
    first = Thing("first")
    for number in range(50):
        Thing(f"next-{number}", source=first.arn.apply(lambda arn: arn + "/x"))
    """
    )

    with pytest.raises(ProgramError) as failed:
        run_program("local", Echo({"first": {"error": "access\n  denied"}}), root=root)

    assert str(failed.value) == "x:y:Thing 'first': access denied"
    assert capfd.readouterr() == ("", "")


def test_the_message_of_a_run_error_is_not_changed(write_project: WriteProject) -> None:
    root = write_project("import pulumi\nraise pulumi.RunError('sample:days must be positive, but is -1')")

    with pytest.raises(ProgramError) as failed:
        run_program("local", Echo(), root=root)

    assert str(failed.value) == "sample:days must be positive, but is -1"


def test_an_exception_in_the_program_is_reported_with_file_and_line(write_project: WriteProject) -> None:
    root = write_project("import helper", files={"helper.py": "\n\nvalue = {}['gone']\n"})

    with pytest.raises(ProgramError, match=r"KeyError: 'gone' \(helper.py, line 3\)"):
        run_program("local", Echo(), root=root)


def test_the_program_reads_its_configuration(write_project: WriteProject) -> None:
    root = write_project(
        "import pulumi\npulumi.export('days', pulumi.Config().require_int('days'))",
        schema="days: {type: integer, default: 14}",
    )

    assert run_program("local", Echo(), root=root).outputs.values == {"days": 14}
    assert run_program("local", Echo(), root=root, config={"days": 3}).outputs.values == {"days": 3}


def test_programs_with_modules_of_the_same_name_run_one_after_another(write_project: WriteProject) -> None:
    import components  # the repository's package, which must stay imported

    main = "import pulumi, components\npulumi.export('who', components.WHO)"
    first = write_project(main, name="one", files={"components/__init__.py": "WHO = 1"})
    second = write_project(main, name="two", files={"components/__init__.py": "WHO = 2"})

    found = [run_program("local", Echo(), root=root).outputs.values["who"] for root in (first, second, first)]

    assert found == [1, 2, 1]
    import components as still

    assert still is components


def test_files_are_found_relative_to_the_program(write_project: WriteProject) -> None:
    here = Path.cwd()
    root = write_project(
        "import pulumi, pathlib\npulumi.export('text', pathlib.Path('data.txt').read_text())",
        files={"data.txt": "hello"},
    )

    assert run_program("local", Echo(), root=root).outputs.values == {"text": "hello"}
    assert Path.cwd() == here


REFERENCE = """
    import pulumi
    other = pulumi.StackReference(NAME)
    pulumi.export("url", other.require_output("url"))
    pulumi.export("key", other.get_output("key"))
    """


@pytest.mark.parametrize("name", ["shop/local", "org/shop/local"])
def test_a_stack_reference_reads_the_outputs_of_a_known_stack(write_project: WriteProject, name: str) -> None:
    root = write_project(REFERENCE.replace("NAME", repr(name)))
    known = StackOutputs(values={"url": "http://x", "key": "k"}, secret_names=frozenset({"key"}))

    run = run_program("local", Echo(), root=root, stack_references={"shop/local": known})

    assert run.outputs == known


def test_a_stack_reference_to_an_unknown_stack_is_an_error(write_project: WriteProject) -> None:
    root = write_project(REFERENCE.replace("NAME", "'shop/live'"))

    with pytest.raises(ProgramError, match="there is no stack 'shop/live'; there are: shop/local"):
        run_program("local", Echo(), root=root, stack_references={"shop/local": StackOutputs(values={})})


def test_physical_names_follow_the_pattern_and_stay_the_same(write_project: WriteProject) -> None:
    root = write_project(
        COMPONENT + '\n    Thing("a"); Thing("b")\n',
        schema="pulumi:autonaming: {value: {pattern: '${name}-${stack}-${hex(6)}'}}",
    )

    runs = [run_program("local", Echo(), root=root) for _ in range(2)]
    names = [{resource.name: resource.id for resource in run.resources} for run in runs]

    assert names[0] == names[1]
    assert names[0]["a"].startswith("a-local-")
    assert names[0]["a"][-6:] != names[0]["b"][-6:]


def test_each_resource_is_reported_once(write_project: WriteProject) -> None:
    reported: list[str] = []
    root = write_project(COMPONENT + '\n    Box("a")\n')

    run_program("local", Echo(), root=root, on_resource=lambda resource: reported.append(resource.name))

    assert reported == ["a", "a-inner"]
