"""Whether AWS WAF filters the API's requests."""

from components.settings.loader import Values


def has_firewall(values: Values) -> bool:
    """Returns whether the stack has a firewall."""
    return values.boolean("firewall")
