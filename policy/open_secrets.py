"""Rules against secrets in plain text, found by their name, form, or value elsewhere in the stack."""

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from pulumi_policy import Policy, PolicyResource, ResourceValidationArgs

from policy.resources import API_KEY, API_STAGE, FUNCTION, STACK, as_object, get, of_type, texts
from policy.rule import resource_rule, stack_rule

_Path = tuple[str, ...]

# Type to the properties that hold a secret.
_SECRET_VALUES: Final[Mapping[str, Sequence[str]]] = {
    API_KEY: ("value",),
    "aws:apigateway/usagePlanKey:UsagePlanKey": ("value",),
    "aws:iam/accessKey:AccessKey": ("secret",),
    "aws:secretsmanager/secretVersion:SecretVersion": ("secretString", "secretBinary"),
    "aws:ssm/parameter:Parameter": ("value",),
    "random:index/randomPassword:RandomPassword": ("result",),
}
# Type to the path of its variables, which are checked by name too.
_VARIABLES: Final[Mapping[str, _Path]] = {
    FUNCTION: ("environment", "variables"),
    API_STAGE: ("variables",),
}
# Shorter values match by chance.
_LEAST_SECRET: Final = 8
_SECRET_NAME: Final = re.compile(
    r"SECRET|PASSWORD|PASSWD|PASSPHRASE|TOKEN|CREDENTIAL|(API|PRIVATE|SIGNING)_?KEY|_(PASS|PWD)$|(^|_)KEYS?$"
    r"|(^|_)(AUTH|AUTHORIZATION|BEARER|CONNECTION_STRING|COOKIE|DSN|JWT|PAT|WEBHOOK)$"
)
# The place or owner of a secret is no secret. Neither are keys that find or sort.
_HARMLESS_NAME: Final = re.compile(
    r"(.*_)?((ARN|DBNAME|ENGINE|HOST|ID|NAME|PARAMETER|PATH|REGION|TABLE|UR[IL]|USER|USERNAME|VERSION)S?"
    r"|(CACHE|GROUP|HASH|IDEMPOTENCY|KMS|OBJECT|PARTITION|PRIMARY|PUBLIC|RANGE|ROUTING|S3|SORT|TAG)_KEYS?)"
)
_SECRET_FORM: Final = re.compile(
    r"""
      (?:AKIA|ASIA)[0-9A-Z]{16}                 # AWS
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY
    | ://[^/?\#\s:@]*:[^/?\#\s@]+@               # URL with a password
    | eyJ[\w-]{8,}\.eyJ[\w-]{8,}                # JSON Web Token
    | \bBearer\ [\w.+/=-]{16}
    | \bgh[oprsu]_\w{36} | \bgithub_pat_\w{22} | \bglpat-[\w-]{20}
    | \bxox[a-z]-[\w-]{10} | hooks\.slack\.com/services/\w
    | \b[prs]k_(?:live|test)_\w{16} | \bsk-[\w-]{20}
    | \bAIza[\w-]{35} | \bnpm_\w{36} | \bpypi-[\w-]{16} | \bpul-[0-9a-f]{40} | \bSG\.[\w-]{16,}\.
    """,
    re.VERBOSE,
)
# Parts of a text that may be random: letters of both cases with digits, or hexadecimal digits.
_PART: Final = re.compile(r"[A-Za-z0-9+]{20,}")
_HEXADECIMAL: Final = re.compile(r"[0-9a-f]{32,}|[0-9A-F]{32,}")
_MIXED: Final = tuple(re.compile(f"{kind}.*{kind}") for kind in ("[0-9]", "[A-Z]", "[a-z]"))

_INSTEAD: Final = "store it in Secrets Manager and pass the ARN of the secret"


def no_secret_in_a_property(args: ResourceValidationArgs) -> Iterator[str]:
    """Checks that no property has the form of a secret, and no variable its name or form."""
    if not args.resource_type.startswith("aws:"):
        return
    skipped = {*_SECRET_VALUES.get(args.resource_type, ()), *_VARIABLES.get(args.resource_type, ())[:1]}
    for name in _names(args.props, lambda path, text: path[0] not in skipped and _has_secret_form(text)):
        yield f"has a secret in {name}: {_INSTEAD}"
    for name in _names(
        _variables(args),
        lambda path, text: _is_named_secret(path) or _has_secret_form(text) or _is_random(text),
    ):
        yield f"has a secret in the variable {name}: {_INSTEAD}"


def no_secret_in_the_open(stack: list[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """Checks that no variable holds a secret of the stack, and no export a secret.

    The engine passes exports to rules without their mark as secret. So secrets must not be exported: clients
    of an API key read it from AWS.
    """
    secrets = set(_secret_values(stack))

    def is_known(text: str) -> bool:
        return any(secret in text for secret in secrets)

    for resource in of_type(stack, *_VARIABLES):
        for name in _names(_variables(resource), lambda _, text: is_known(text)):
            yield resource, f"has a secret of the stack in the variable {name}: {_INSTEAD}"
    for root in of_type(stack, STACK):
        for name in _names(
            root.props,
            lambda path, text: _is_named_secret(path) or _has_secret_form(text) or is_known(text),
        ):
            yield root, f"exports a secret as {name}: export its id or ARN instead"


def _variables(resource: PolicyResource | ResourceValidationArgs) -> Any:
    path = _VARIABLES.get(resource.resource_type)
    return get(resource.props, *path) if path else None


def _names(value: Any, is_secret: Callable[[_Path, str], object]) -> list[str]:
    """Returns the outermost keys under which a text is secret."""
    return sorted({path[0] for path, text in texts(value) if path and text and is_secret(path, text)})


def _is_named_secret(path: _Path) -> bool:
    names = [_in_capitals(name) for name in path]
    return any(map(_SECRET_NAME.search, names)) and not any(map(_HARMLESS_NAME.fullmatch, names))


def _has_secret_form(text: str) -> bool:
    return _SECRET_FORM.search(text) is not None


def _is_random(text: str) -> bool:
    """Whether a part of the text is long and mixed as only generated values are. ARNs are names."""
    return not text.startswith("arn:") and any(
        _HEXADECIMAL.fullmatch(part) or all(kind.search(part) for kind in _MIXED)
        for part in _PART.findall(text)
    )


def _in_capitals(name: str) -> str:
    """Returns `DB_PASSWORD` for `dbPassword`, `db-password` and itself."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", name).upper()


def _secret_values(stack: Sequence[PolicyResource]) -> Iterator[str]:
    for resource in of_type(stack, *_SECRET_VALUES):
        if get(resource.props, "type") in ("String", "StringList"):
            continue  # a parameter in plain text
        for key in _SECRET_VALUES[resource.resource_type]:
            for value in _readings(get(resource.props, key)):
                if len(value) >= _LEAST_SECRET:
                    yield value


def _readings(value: Any) -> Iterator[str]:
    """Yields a secret text, the secrets in it if it is JSON, and what it encodes if it is base64."""
    if isinstance(value, str) and value:
        yield value
        for path, text in texts(as_object(value)):
            if not any(_HARMLESS_NAME.fullmatch(_in_capitals(name)) for name in path):
                yield text
        with suppress(ValueError):
            yield from _readings(base64.b64decode(value, validate=True).decode())


RULES: Final[tuple[Policy, ...]] = (
    resource_rule(
        "no-secret-in-a-property",
        "No property and no variable holds a secret.",
        no_secret_in_a_property,
    ),
    stack_rule(
        "no-secret-in-the-open",
        "No variable holds a secret of the stack, and no export holds a secret.",
        no_secret_in_the_open,
    ),
)
