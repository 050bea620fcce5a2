"""What the tables of this package are written in: which inputs a resource type has, and where each goes.

A `Kind` says for one resource type which input properties it knows. Each property has a `Field`: the boto3
parameter it becomes, or the reason why the emulator does nothing with it. Whatever no table knows is an error
that names it, so reading the tables tells what the embedded AWS does, and what it does not.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from local.aws.emulator import Endpoint
from local.aws.parameter_check import check_parameters
from local.engine.program import Resource


class DeployError(Exception):
    """A resource cannot be created in the emulator; the message is one sentence."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """Where one input property goes."""

    to: str = ""  # the boto3 parameter; "" when the kind's own code reads the input
    convert: Callable[[Any], Any] | None = None
    fields: "Fields | None" = None  # of an object, or of each object of a list
    why_not: str = ""  # the emulator does nothing with it, because ...
    only: tuple[Any, ...] = ()  # the only values that can be honored


Fields = Mapping[str, Field | str]  # a plain string stands for Field(to=string)

# Read by the kind's own `create`.
OWN: Final = Field()


def nested(to: str, fields: Fields) -> Field:
    """An object or list of objects whose keys have names of their own in boto3."""
    return Field(to=to, fields=fields)


def text(to: str) -> Field:
    """A number or truth value that the API wants as a string."""
    return Field(to=to, convert=lambda value: str(value).lower() if isinstance(value, bool) else str(value))


def not_emulated(why: str) -> Field:
    """A property that AWS honors and the emulator does not."""
    return Field(why_not=why)


def only(to: str, *values: Any) -> Field:
    """A property of which the emulator honors these values alone."""
    return Field(to=to, only=values)


def tag_list(to: str = "Tags", key: str = "Key", value: str = "Value") -> Field:
    """Tags as the list of pairs that most APIs take."""
    return Field(
        to=to, convert=lambda tags: [{key: name, value: content} for name, content in sorted(tags.items())]
    )


def _refuse_what_aws_refuses(params: dict[str, Any], model: Any, **_: object) -> None:
    problems = check_parameters(model, params)
    if problems:
        raise DeployError(f"AWS would refuse {model.name}: {'; '.join(problems)}")


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """What a kind's code creates with: the emulator, and facts about this deployment."""

    endpoint: Endpoint
    root: Path  # relative paths of assets start here
    partition: str = "aws"
    # For facts that one resource must know of another, such as the path of an API's resource.
    notes: dict[tuple[str, str], Any] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, service: str) -> Any:
        """The boto3 client of a service; it raises DeployError for parameters that AWS would refuse."""
        client = self.endpoint.client(service)
        client.meta.events.register(
            "before-parameter-build", _refuse_what_aws_refuses, unique_id="parameter-check"
        )
        return client

    @property
    def region(self) -> str:
        """The one region of this deployment."""
        return self.endpoint.region

    def arn(self, service: str, rest: str) -> str:
        """An ARN of this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.endpoint.account_id}:{rest}"


@dataclass(frozen=True, kw_only=True)
class Creation:
    """One resource on its way into the emulator."""

    cloud: Cloud
    resource: Resource
    params: dict[str, Any]  # translated, ready for boto3

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The inputs under their Pulumi names."""
        return self.resource.inputs

    def name(self, key: str = "name") -> str:
        """The physical name: the program's own, or what auto-naming gives."""
        return str(self.inputs.get(key) or self.resource.physical_name)

    def client(self, service: str) -> Any:
        """The boto3 client of a service."""
        return self.cloud.client(service)


Created = tuple[str, dict[str, Any]]  # the id, and the outputs beyond the inputs


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One resource type: its name, its inputs, the outputs it answers, and how it is created."""

    resource_type: str
    inputs: Fields
    create: Callable[[Creation], Created]
    outputs: tuple[str, ...] = ()  # always answered, never None

    def deploy(self, cloud: Cloud, resource: Resource) -> Created:
        """Creates the resource; raises DeployError for what no table knows."""
        params = translate(resource.inputs, {**self.inputs, **_EVERYWHERE}, "")
        resource_id, outputs = self.create(Creation(cloud=cloud, resource=resource, params=params))
        missing = [key for key in self.outputs if outputs.get(key) is None]
        if missing or not resource_id:
            raise DeployError(f"the emulator answered no {', '.join(missing or ['id'])}")
        if "tags" in self.inputs:
            outputs.setdefault("tagsAll", dict(resource.inputs.get("tags") or {}))
        return resource_id, outputs


# `region` may be set on every resource of the provider; this emulator has one region.
_EVERYWHERE: Final[dict[str, Field | str]] = {"region": OWN}


def translate(values: Mapping[str, Any], fields: Mapping[str, Field | str], path: str) -> dict[str, Any]:
    """The values under boto3's names; raises DeployError for a property that `fields` does not know."""
    params: dict[str, Any] = {}
    for key, value in values.items():
        where = f"{path}{key}"
        known = fields.get(key)
        if known is None:
            raise DeployError(f"the local deployer does not know the property `{where}`")
        known = Field(to=known) if isinstance(known, str) else known
        if known.only and value not in known.only:
            raise DeployError(
                f"`{where}` is {value!r}, but the local deployer can only honor "
                f"{' or '.join(repr(possible) for possible in known.only)}"
            )
        if known.to and not known.why_not:
            params[known.to] = _converted(known, value, where)
        elif known.fields is not None:
            _converted(known, value, where)
    return params


def _converted(known: Field, value: Any, where: str) -> Any:
    if known.fields is not None:
        if isinstance(value, list):
            value = [translate(item, known.fields, f"{where}[{index}].") for index, item in enumerate(value)]
        else:
            value = translate(value, known.fields, f"{where}.")
    return known.convert(value) if known.convert else value


def without_empty(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that say something: AWS refuses empty lists and objects in many places."""
    return {key: value for key, value in params.items() if value not in (None, [], {}, "")}


def by_type(kinds: Iterable[Kind]) -> dict[str, Kind]:
    """The kinds under their resource types; a type that stands twice is a mistake of ours."""
    table: dict[str, Kind] = {}
    for kind in kinds:
        if kind.resource_type in table:
            raise ValueError(f"{kind.resource_type} stands in two tables")
        table[kind.resource_type] = kind
    return table
