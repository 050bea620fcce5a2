"""Settings of the fulfillment system: its URL, and the secret that signs the requests to it."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from components.settings.loader import SettingsError, Values, check_region, not_allowed

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
# Secrets Manager adds a hyphen and six characters to the name. IAM compares the whole ARN, so without them
# the function would be denied:
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html
_SECRET_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:\S+-[A-Za-z0-9]{6}"
)


@dataclass(frozen=True, kw_only=True)
class FulfillmentSettings:
    """The fulfillment system's URL, the ARN of the secret that signs, and how long it may be silent."""

    url: str
    secret_arn: str
    overdue_hours: int

    @classmethod
    def read(cls, values: Values, region: str | None) -> "FulfillmentSettings | None":
        """Reads the keys. Returns None without a URL; `region` is the stack's, if it is configured."""
        url, secret_arn = values.text("fulfillmentUrl"), values.text("fulfillmentSecretArn")
        allow_http = values.boolean("fulfillmentAllowHttp")
        overdue_hours = values.integer("fulfillmentOverdueHours", 1)
        if not url and secret_arn:
            raise not_allowed("fulfillmentSecretArn", secret_arn, "it together with fulfillmentUrl")
        if not url:
            return None
        _check_url(url, allow_http)
        _check_secret_arn(secret_arn, region)
        return cls(url=url, secret_arn=secret_arn, overdue_hours=overdue_hours)


def _check_url(text: str, allow_http: bool) -> None:
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        url = urlsplit("")
    is_local_http = allow_http and url.scheme == "http" and url.hostname in _LOOPBACK
    if not url.hostname or url.username is not None or not (url.scheme == "https" or is_local_http):
        or_http = ", or an http URL of this machine" if allow_http else ""
        shown = re.sub(r"//[^/@]*@", "//...@", text)  # without user name and password
        raise not_allowed("fulfillmentUrl", shown, f"an https URL without credentials{or_http}")


def _check_secret_arn(arn: str, region: str | None) -> None:
    key = "fulfillmentSecretArn"
    if not _SECRET_ARN.fullmatch(arn):
        # Not shown, because it may be the secret itself.
        problem = "the value is not the full ARN of a secret" if arn else "has no value"
        raise SettingsError(
            f"{key}: {problem}. Use that of a secret in AWS Secrets Manager, with the six characters at its "
            "end: arn:aws:secretsmanager:<region>:<account>:secret:<name>-AbCdEf."
        )
    check_region(key, arn, region)
