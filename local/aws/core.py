"""Types for the tables of supported resources: which inputs a resource type has, and how each is applied.

A `Kind` lists the input properties of one resource type. Each has a `Field`: the boto3 parameter that it
becomes, or the reason why the emulator ignores it. A property that is not listed is an error that names it.
"""

import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from local.aws.emulator import Endpoint
from local.aws.parameter_check import check_parameters
from local.engine.program import Resource


class DeployError(Exception):
    """A resource cannot be created in the emulator; the message is one sentence."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """How one input property is applied."""

    to: str = ""  # the boto3 parameter; "" when `create` reads the input
    convert: Callable[[Any], Any] | None = None
    fields: "Fields | None" = None  # of an object, or of each object of a list
    why_not: str = ""  # why the emulator ignores it
    only: tuple[Any, ...] = ()  # the only values that the emulator applies


Fields = Mapping[str, Field | str]  # a string means Field(to=string)

OWN: Final = Field()
"""The kind's own `create` reads the property."""


def nested(to: str, fields: Fields) -> Field:
    """Returns the field of an object, or list of objects, whose keys are renamed for boto3."""
    return Field(to=to, fields=fields)


def text(to: str) -> Field:
    """Returns the field of a number or boolean that the API takes as a string."""
    return Field(to=to, convert=lambda value: str(value).lower() if isinstance(value, bool) else str(value))


def not_emulated(why: str) -> Field:
    """Returns the field of a property that the emulator ignores."""
    return Field(why_not=why)


def only(to: str, *values: Any) -> Field:
    """Returns the field of a property of which the emulator applies only these values."""
    return Field(to=to, only=values)


def tag_list(to: str = "Tags", key: str = "Key", value: str = "Value") -> Field:
    """Returns the field that turns tags into the list of pairs that most APIs take."""
    return Field(
        to=to, convert=lambda tags: [{key: name, value: content} for name, content in sorted(tags.items())]
    )


def _check_call(params: dict[str, Any], model: Any, **_: object) -> None:
    problems = check_parameters(model, params)
    if problems:
        raise DeployError(f"AWS would refuse {model.name}: {'; '.join(problems)}")


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """The target of a deployment."""

    endpoint: Endpoint
    root: Path  # relative paths of assets start here
    partition: str = "aws"
    secret: str | None = None  # with one, API ids and key values are the same in each deployment

    def stable_value(self, purpose: str) -> str | None:
        """Returns 32 hex digits that depend on the secret and the purpose only, or None without a secret."""
        if self.secret is None:
            return None
        return hmac.new(self.secret.encode(), purpose.encode(), "sha256").hexdigest()[:32]

    def client(self, service: str) -> Any:
        """Returns the boto3 client of a service, which raises DeployError for parameters that AWS refuses."""
        client = self.endpoint.client(service)
        client.meta.events.register("before-parameter-build", _check_call, unique_id="parameter-check")
        return client

    @property
    def region(self) -> str:
        """The one region of this deployment."""
        return self.endpoint.region

    def arn(self, service: str, rest: str) -> str:
        """Returns an ARN of this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.endpoint.account_id}:{rest}"


@dataclass(frozen=True, kw_only=True)
class Creation:
    """A resource that is being created in the emulator."""

    cloud: Cloud
    resource: Resource
    params: dict[str, Any]  # translated, ready for boto3

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The inputs under their Pulumi names."""
        return self.resource.inputs

    def name(self, key: str = "name") -> str:
        """Returns the physical name: the program's, or the one of auto-naming."""
        return str(self.inputs.get(key) or self.resource.physical_name)

    def client(self, service: str) -> Any:
        """Returns the boto3 client of a service."""
        return self.cloud.client(service)


Created = tuple[str, dict[str, Any]]  # the id, and the outputs beyond the inputs


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A supported resource type."""

    resource_type: str
    inputs: Fields
    create: Callable[[Creation], Created]
    outputs: tuple[str, ...] = ()  # always returned, never None

    def deploy(self, cloud: Cloud, resource: Resource) -> Created:
        """Creates the resource. Raises DeployError for an input that is not listed."""
        params = translate(resource.inputs, {**self.inputs, **_EVERYWHERE}, "")
        resource_id, outputs = self.create(Creation(cloud=cloud, resource=resource, params=params))
        missing = [key for key in self.outputs if outputs.get(key) is None]
        if missing or not resource_id:
            raise DeployError(f"the emulator returned no {', '.join(missing or ['id'])}")
        if "tags" in self.inputs:
            outputs.setdefault("tagsAll", dict(resource.inputs.get("tags") or {}))
        return resource_id, outputs


# Every resource of the provider has `region`; this emulator has one region.
_EVERYWHERE: Final[dict[str, Field | str]] = {"region": OWN}


def translate(values: Mapping[str, Any], fields: Mapping[str, Field | str], path: str) -> dict[str, Any]:
    """Returns the values under boto3's names. Raises DeployError for a property that is not in `fields`."""
    params: dict[str, Any] = {}
    for key, value in values.items():
        where = f"{path}{key}"
        known = fields.get(key)
        if known is None:
            raise DeployError(f"the embedded AWS does not support the property `{where}`")
        known = Field(to=known) if isinstance(known, str) else known
        if known.only and value not in known.only:
            raise DeployError(
                f"`{where}` is {value!r}, but the embedded AWS supports only "
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
    """Returns the parameters without empty ones: AWS refuses empty lists and objects in many places."""
    return {key: value for key, value in params.items() if value not in (None, [], {}, "")}


def by_type(kinds: Iterable[Kind]) -> dict[str, Kind]:
    """Returns the kinds by resource type. Raises ValueError for a type that is listed twice."""
    table: dict[str, Kind] = {}
    for kind in kinds:
        if kind.resource_type in table:
            raise ValueError(f"{kind.resource_type} is listed in two tables")
        table[kind.resource_type] = kind
    return table
