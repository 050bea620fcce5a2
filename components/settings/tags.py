"""Tags that the stack adds to its resources."""

import re
from collections.abc import Mapping
from typing import Final

from components.settings.loader import SettingsError, Values, as_text, not_allowed, shown

# What all services accept:
# https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
_TAG: Final = re.compile(r"(?!aws:)[\w .:/=+@-]*", re.IGNORECASE)
_TAG_CHARACTERS: Final = "letters, digits, spaces and _.:/=+-@, not starting with aws:"
_TAGS_PER_RESOURCE: Final = 50
_OWN_TAGS: Final = ("project", "stack")


def tags(values: Values) -> Mapping[str, str]:
    """Returns the tags by name. AWS counts those that the program sets itself against the same limit."""
    key = "tags"
    found = values.mapping(key)
    most = _TAGS_PER_RESOURCE - len(_OWN_TAGS)
    if len(found) > most:
        raise SettingsError(f"{key}: {len(found)} tags are too many. Use at most {most}.")
    checked: dict[str, str] = {}
    for name, value in found.items():
        _check_name(key, name, checked)
        checked[name] = _tag_value(f"{key}.{name}", value)
    return checked


def _check_name(key: str, name: str, others: Mapping[str, str]) -> None:
    if not 1 <= len(name) <= 128 or not _TAG.fullmatch(name):
        raise SettingsError(f"{key}: the name {shown(name)} is not allowed. Use 1 to 128 {_TAG_CHARACTERS}.")
    # On a role, names that differ only in case are the same:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html
    if name.lower() in _OWN_TAGS:
        raise SettingsError(f"{key}.{name}: is set by the program. Use another name.")
    if name.lower() in {other.lower() for other in others}:
        raise SettingsError(f"{key}.{name}: is set twice with different case. Keep one.")


def _tag_value(key: str, value: object) -> str:
    text = as_text(value)
    if text is None or len(text) > 256 or not _TAG.fullmatch(text):
        raise not_allowed(key, value, f"up to 256 {_TAG_CHARACTERS}")
    return text
