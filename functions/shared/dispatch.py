"""The orders queue: the message that asks for one attempt at an order."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from functions.shared.domain.orders import Identifier


class OrderMessage(msgspec.Struct, frozen=True, rename="camel"):
    """A message of the queue, and the input of the state machine."""

    order_id: Identifier
    attempt: Annotated[int, msgspec.Meta(ge=1)]
    correlation_id: str


class OrderQueue:
    """The queue on which accepted orders wait for the workflow."""

    def __init__(self, client: Any, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(self, message: OrderMessage) -> None:
        """Ask for an attempt. Raises botocore's errors; sending twice is harmless."""
        self._client.send_message(QueueUrl=self._queue_url, MessageBody=msgspec.json.encode(message).decode())
