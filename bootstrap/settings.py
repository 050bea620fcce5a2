"""Checks the configuration of the stack's API: its id and its custom domain."""

import re
from typing import Final

import pulumi

_API_ID: Final = re.compile(r"[a-z0-9]+")
# As components/settings/custom_domain.py checks them.
_HOST_NAME: Final = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
_ZONE_ID: Final = re.compile(r"Z[A-Z0-9]{1,31}")


def api_id(config: pulumi.Config) -> str:
    """Returns the id of the stack's REST API, or "". Raises RunError for any other text."""
    return _checked(config, "apiId", _API_ID, "the stack's output apiId, such as a1b2c3d4e5")


def custom_domain(config: pulumi.Config) -> tuple[str, str]:
    """Returns the domain name and its hosted zone, both "" without a domain. Raises RunError for only one."""
    name = _checked(config, "domainName", _HOST_NAME, "a lower-case host name such as api.example.com")
    zone = _checked(config, "hostedZoneId", _ZONE_ID, "the id of a zone such as Z0123456789ABC")
    if bool(name) != bool(zone):
        missing = "hostedZoneId" if name else "domainName"
        raise pulumi.RunError(f"{missing}: is empty. Set domainName and hostedZoneId, or neither.")
    return name, zone


def _checked(config: pulumi.Config, key: str, pattern: re.Pattern[str], expected: str) -> str:
    value = config.get(key) or ""
    if value and not pattern.fullmatch(value):
        raise pulumi.RunError(f"{key}: {value} is not allowed. Use {expected}.")
    return value
