"""The delivery of the orders queue to order_consumer: whether it is paused, since when and why.

It is paused by disabling the event source mapping. Tags of the mapping keep time and reason.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from functions.shared.domain.errors import InvalidInput, NotFound

_REASON_TAG = "paused-because"
_TIME_TAG = "paused-at"
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html
_TAG_VALUE = re.compile(r"[\w .:/=+@-]{1,256}")
_PAUSED = frozenset({"Disabling", "Disabled"})


class DeliveryState(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Whether the delivery is paused. Time and reason are those of `pause`; a manual change has none."""

    is_paused: bool
    reason: str | None = None
    since: str | None = None


class Delivery:
    """The event source mapping of the orders queue. All methods raise `NotFound` and botocore's errors."""

    def __init__(self, sqs: Any, functions: Any, queue_url: str) -> None:
        """`functions` is a client of Lambda."""
        self._sqs = sqs
        self._functions = functions
        self._queue_url = queue_url

    def count_waiting(self) -> int:
        """Return the approximate number of messages that wait."""
        return int(self._attribute("ApproximateNumberOfMessages"))

    def state(self) -> DeliveryState:
        """Return whether the delivery is paused."""
        mapping = self._find()
        if mapping["State"] not in _PAUSED:
            return DeliveryState(False)
        tags = self._functions.list_tags(Resource=mapping["EventSourceMappingArn"])["Tags"]
        return DeliveryState(True, tags.get(_REASON_TAG), tags.get(_TIME_TAG))

    def pause(self, *, reason: str, at: str) -> bool:
        """Pause the delivery. Returns False if it was paused for this reason before.

        Raises `InvalidInput` for a reason that cannot be the value of a tag.
        """
        if not _TAG_VALUE.fullmatch(reason):
            raise InvalidInput(
                f"{reason[:256]!r} is not allowed: use 1 to 256 letters, digits, spaces and _ . : / = + - @",
                "reason",
            )
        mapping, state = self._find(), self.state()
        if state.is_paused and state.reason == reason:
            return False
        # The tags come first: a pause always has its reason.
        tags = {_REASON_TAG: reason, _TIME_TAG: state.since or at}
        self._functions.tag_resource(Resource=mapping["EventSourceMappingArn"], Tags=tags)
        if not state.is_paused:
            self._functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        return True

    def resume(self) -> bool:
        """Deliver messages again. Returns False if the delivery was not paused."""
        mapping = self._find()
        if mapping["State"] not in _PAUSED:
            return False
        self._functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
        self._functions.untag_resource(
            Resource=mapping["EventSourceMappingArn"], TagKeys=[_REASON_TAG, _TIME_TAG]
        )
        return True

    def _find(self) -> dict[str, Any]:
        pages = self._functions.get_paginator("list_event_source_mappings").paginate(
            EventSourceArn=self._attribute("QueueArn")
        )
        found: dict[str, Any] | None = next(
            (mapping for page in pages for mapping in page["EventSourceMappings"]), None
        )
        if found is None:
            raise NotFound(
                "the orders queue has no event source mapping: run `pulumi up --refresh`, which creates it"
            )
        return found

    def _attribute(self, name: str) -> str:
        answer = self._sqs.get_queue_attributes(QueueUrl=self._queue_url, AttributeNames=[name])
        return str(answer["Attributes"][name])
