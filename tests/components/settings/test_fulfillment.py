"""Settings of the fulfillment system."""

from __future__ import annotations

from typing import Any

import pytest

from tests.components.settings.reading import mistake, read

SECRET_ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:fulfillment-AbCdEf"
ARN = (
    "Use that of a secret in AWS Secrets Manager, with the six characters at its end: "
    "arn:aws:secretsmanager:<region>:<account>:secret:<name>-AbCdEf."
)
MISTAKES: list[tuple[dict[str, Any], str]] = [
    (
        {"fulfillmentUrl": "http://127.0.0.1:8080/ship", "fulfillmentSecretArn": SECRET_ARN},
        "fulfillmentUrl: http://127.0.0.1:8080/ship is not allowed. Use an https URL without credentials.",
    ),
    (
        {
            "fulfillmentUrl": "http://partner.example/ship",
            "fulfillmentSecretArn": SECRET_ARN,
            "fulfillmentAllowHttp": True,
        },
        "fulfillmentUrl: http://partner.example/ship is not allowed. "
        "Use an https URL without credentials, or an http URL of this machine.",
    ),
    (
        {"fulfillmentUrl": "https://me:pass@partner.example", "fulfillmentSecretArn": SECRET_ARN},
        "fulfillmentUrl: https://...@partner.example is not allowed. Use an https URL without credentials.",
    ),
    (
        {"fulfillmentUrl": "https://partner.example:port"},
        "fulfillmentUrl: https://partner.example:port is not allowed. Use an https URL without credentials.",
    ),
    ({"fulfillmentUrl": "https://partner.example/ship"}, f"fulfillmentSecretArn: has no value. {ARN}"),
    (
        {"fulfillmentUrl": "https://partner.example/ship", "fulfillmentSecretArn": "s3cr3t"},
        f"fulfillmentSecretArn: the value is not the full ARN of a secret. {ARN}",
    ),
    (
        {"fulfillmentSecretArn": SECRET_ARN},
        f"fulfillmentSecretArn: {SECRET_ARN} is not allowed. Use it together with fulfillmentUrl.",
    ),
    (
        {
            "fulfillmentUrl": "https://partner.example/ship",
            "fulfillmentSecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:fulfillment",
        },
        f"fulfillmentSecretArn: the value is not the full ARN of a secret. {ARN}",
    ),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES)
def test_a_mistake_names_the_key_the_value_and_what_to_use(changes: dict[str, Any], message: str) -> None:
    assert mistake(**changes) == message


@pytest.mark.parametrize(
    ("url", "allow_http"),
    [
        ("http://partner.example/orders", False),
        ("http://partner.example/orders", True),
        ("http://127.0.0.1:8787/", False),
        ("http://127.0.0.1.example:8787/", True),
        ("https://user:password@partner.example/", False),
        ("https://", False),
        ("ftp://partner.example/", True),
        ("partner.example", True),
    ],
)
def test_a_url_that_is_not_https_or_has_credentials_is_refused(url: str, allow_http: bool) -> None:
    changes: dict[str, Any] = {"fulfillmentSecretArn": SECRET_ARN, "fulfillmentAllowHttp": allow_http}
    assert mistake(fulfillmentUrl=url, **changes).startswith("fulfillmentUrl: ")


def test_a_secret_of_another_region_is_refused() -> None:
    config = {"fulfillmentUrl": "https://partner.example", "fulfillmentSecretArn": SECRET_ARN}
    assert read(region="us-east-1", **config).fulfillment
    assert mistake(region="eu-west-1", **config) == (
        "fulfillmentSecretArn: us-east-1 is not allowed. Use an ARN of the stack's region, eu-west-1."
    )


def test_a_value_that_may_be_the_secret_itself_is_not_shown() -> None:
    assert "s3cr3t" not in mistake(fulfillmentUrl="https://partner.example", fulfillmentSecretArn="s3cr3t")


def test_a_stack_has_no_fulfillment_system_by_default() -> None:
    assert not read().fulfillment
