"""Settings of a custom domain name for the API."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from components.settings.loader import Values, as_text, check_region, not_allowed, with_members

_HOST_NAME: Final = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
_CERTIFICATE_ARN: Final = re.compile(r"arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/\S+")
# https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-mappings.html
_BASE_PATH: Final = re.compile(r"[A-Za-z0-9$_.+!*'()-]{1,300}")
_ZONE_ID: Final = re.compile(r"Z[A-Z0-9]{1,31}")


@dataclass(frozen=True, kw_only=True)
class CustomDomainSettings:
    """The domain name, the ARN of its certificate, and the id of its Route 53 zone.

    Without `base_path` the API is at the root of the domain.
    """

    name: str
    certificate_arn: str
    zone_id: str
    base_path: str | None

    @classmethod
    def read(cls, values: Values, region: str | None) -> "CustomDomainSettings | None":
        """Reads the key. Returns None without a domain; `region` is the stack's, if it is configured."""
        key = "customDomain"
        value = values.mapping(key)
        if not value:
            return None
        domain = with_members(key, value, ("name", "certificateArn", "zoneId"), optional=("basePath",))
        return cls(
            name=_member(key, domain, "name", _HOST_NAME, "a lower-case host name such as api.example.com"),
            certificate_arn=_certificate_arn(key, domain, region),
            zone_id=_member(key, domain, "zoneId", _ZONE_ID, "the id of a zone such as Z0123456789ABC"),
            base_path=_member(key, domain, "basePath", _BASE_PATH, "one segment of a path such as shop")
            if "basePath" in domain
            else None,
        )


def _member(
    key: str, domain: Mapping[str, object], member: str, pattern: re.Pattern[str], expected: str
) -> str:
    text = as_text(domain[member]) or ""
    if not pattern.fullmatch(text):
        raise not_allowed(f"{key}.{member}", domain[member], expected)
    return text


def _certificate_arn(key: str, domain: Mapping[str, object], region: str | None) -> str:
    expected = "the ARN of a certificate in AWS Certificate Manager"
    arn = _member(key, domain, "certificateArn", _CERTIFICATE_ARN, expected)
    # A regional endpoint accepts only certificates of its own region.
    check_region(f"{key}.certificateArn", arn, region)
    return arn
