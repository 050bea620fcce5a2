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
        """The name of the execution that this message asks for: one per attempt of an order."""
        return f"{self.order_id}-{self.attempt}"


class OrderQueue:
    """The queue on which accepted orders wait for the workflow."""

    def __init__(self, client: Any, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(self, message: OrderMessage) -> None:
        """Ask for an attempt. Raises botocore's errors; sending twice is harmless."""
        self._client.send_message(QueueUrl=self._queue_url, MessageBody=msgspec.json.encode(message).decode())

    def send_all(self, messages: Sequence[OrderMessage]) -> list[OrderMessage]:
        """Ask for up to `MAX_BATCH` attempts in one request.

        Returns those that the queue did not take, though asked twice. Raises botocore's errors when it took
        none.
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
