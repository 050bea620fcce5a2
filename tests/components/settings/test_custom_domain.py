"""Settings of the custom domain."""

from __future__ import annotations

from typing import Any

import pytest

from tests.components.settings.reading import mistake, read

DOMAIN = {
    "name": "api.example.com",
    "certificateArn": "arn:aws:acm:eu-west-1:123456789012:certificate/11111111-2222-3333-4444-555555555555",
    "zoneId": "Z0123456789ABC",
}
MISTAKES: list[tuple[dict[str, Any], str]] = [
    (
        {"customDomain": {"name": "api.example.com"}},
        'customDomain: {"name": "api.example.com"} is not allowed. '
        "Use an object with exactly name, certificateArn, zoneId and perhaps basePath.",
    ),
    (
        {"customDomain": DOMAIN | {"name": "https://api.example.com"}},
        "customDomain.name: https://api.example.com is not allowed. "
        "Use a lower-case host name such as api.example.com.",
    ),
    (
        {"customDomain": DOMAIN | {"name": "api"}},
        "customDomain.name: api is not allowed. Use a lower-case host name such as api.example.com.",
    ),
    (
        {"customDomain": DOMAIN | {"certificateArn": "api.example.com"}},
        "customDomain.certificateArn: api.example.com is not allowed. "
        "Use the ARN of a certificate in AWS Certificate Manager.",
    ),
    (
        {"customDomain": DOMAIN | {"basePath": "shop/v1"}},
        "customDomain.basePath: shop/v1 is not allowed. Use one segment of a path such as shop.",
    ),
    (
        {"customDomain": DOMAIN | {"zoneId": "example.com"}},
        "customDomain.zoneId: example.com is not allowed. Use the id of a zone such as Z0123456789ABC.",
    ),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES)
def test_a_mistake_names_the_key_the_value_and_what_to_use(changes: dict[str, Any], message: str) -> None:
    assert mistake(**changes) == message


def test_a_certificate_of_another_region_is_refused_if_the_region_is_known() -> None:
    settings = read(region="eu-west-1", customDomain=DOMAIN)
    assert settings == read(customDomain=DOMAIN)
    assert settings.custom_domain is not None
    assert mistake(region="us-east-1", customDomain=DOMAIN) == (
        "customDomain.certificateArn: eu-west-1 is not allowed. Use an ARN of the stack's region, us-east-1."
    )


def test_a_stack_has_no_custom_domain_by_default() -> None:
    assert not read().custom_domain
