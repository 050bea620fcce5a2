"""The orders queue: the message that asks for one attempt at an order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from functions.shared.domain.ids import Identifier

# The most messages that SQS takes in one request.
MAX_BATCH = 10


class OrderMessage(msgspec.Struct, frozen=True, rename="camel"):
    """A message of the queue, and the input of the state machine."""

    order_id: Identifier
    attempt: Annotated[int, msgspec.Meta(ge=1)]
    correlation_id: str

    @property
    def execution_name(self) -> str:
        """The name of the execution of this message: one per attempt of an order."""
        return f"{self.order_id}-{self.attempt}"


class OrderQueue:
    """The queue of accepted orders."""

    def __init__(self, client: Any, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(self, message: OrderMessage) -> None:
        """Requests an attempt. Raises botocore's errors. A second message for an attempt is harmless."""
        self._client.send_message(QueueUrl=self._queue_url, MessageBody=msgspec.json.encode(message).decode())

    def send_all(self, messages: Sequence[OrderMessage]) -> list[OrderMessage]:
        """Requests up to `MAX_BATCH` attempts in one call.

        Returns those that the queue refused twice. Raises botocore's errors if it took none.
        """
        waiting = list(messages)
        for _ in range(2):
            answer = self._client.send_message_batch(
                QueueUrl=self._queue_url,
                Entries=[
                    {"Id": str(number), "MessageBody": msgspec.json.encode(message).decode()}
                    for number, message in enumerate(waiting)
                ],
            )
            waiting = [waiting[int(failure["Id"])] for failure in answer.get("Failed", [])]
            if not waiting:
                break
        return waiting
