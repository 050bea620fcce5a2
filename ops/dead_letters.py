"""The dead-letter queue: lists its messages with the reason, and sends them back.

SQS can move messages too (StartMessageMoveTask), but would move malformed ones as well. Here each message is
sent to the orders queue first and deleted afterwards. A crash in between repeats it, and the consumer ignores
the repeated message.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from types import TracebackType
from typing import Any, Self

import msgspec

from functions.shared.domain.errors import NotFound
from functions.shared.json_input import MalformedJson, decode_json
from functions.shared.order_queue import OrderMessage
from functions.shared.persistence.orders import OrderRepository

# The maximum of SQS per call.
_BATCH = 10
# Visibility timeout of a received message, in seconds. Kept messages become visible again at the end.
_HIDDEN = 60
# Seconds. Long polling queries all servers of SQS, so an empty answer means an empty queue.
_WAIT = 1
_ID_SHOWN = 64  # characters


class Verdict(StrEnum):
    """What happens to a message when it is sent back."""

    CAN_BE_RETRIED = "can be retried"  # the order waits for exactly this attempt
    OVERTAKEN = "overtaken"  # the order continued without it; it leaves the queue without effect
    UNKNOWN_ORDER = "unknown order"  # the order does not exist; it fails again
    MALFORMED = "malformed"  # not an order message; it fails again

    @property
    def fails_again(self) -> bool:
        """Whether the message returns to the dead-letter queue."""
        return self in (Verdict.UNKNOWN_ORDER, Verdict.MALFORMED)


class DeadLetter(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A message of the dead-letter queue. `received` includes the deliveries by the orders queue."""

    message_id: str
    sent_at: str
    received: int
    verdict: Verdict
    reason: str
    body: str
    order_id: str | None = None
    attempt: int | None = None


class DeadLetterQueue:
    """The messages that the consumer could not process.

    Use it in a `with` block. At its end, all messages that were received and not deleted are visible again.
    """

    def __init__(self, client: Any, url: str, source_url: str, orders: OrderRepository) -> None:
        """Create the queue. `source_url` is the queue to which messages are sent back."""
        self._client = client
        self._url = url
        self._source_url = source_url
        self._orders = orders
        self._handles: dict[str, str] = {}  # message id -> receipt handle, of received messages

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        handles = iter(self._handles.values())
        while chunk := list(islice(handles, _BATCH)):
            self._client.change_message_visibility_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                    for number, handle in enumerate(chunk)
                ],
            )
        self._handles.clear()

    def count(self) -> int:
        """Return the approximate number of visible messages."""
        name = "ApproximateNumberOfMessages"
        answer = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=[name])
        return int(answer["Attributes"][name])

    def batches(self, limit: int | None) -> Iterator[list[DeadLetter]]:
        """Yield the messages, each once, in lists of up to ten. Raises botocore's errors."""
        left = limit
        while left is None or left > 0:
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=_BATCH if left is None else min(_BATCH, left),
                VisibilityTimeout=_HIDDEN,
                WaitTimeSeconds=_WAIT,
                MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
            )
            received = answer.get("Messages", [])
            fresh = [message for message in received if message["MessageId"] not in self._handles]
            self._handles |= {message["MessageId"]: message["ReceiptHandle"] for message in received}
            if not fresh:  # the end, or so many that the first ones are visible again
                return
            if left is not None:
                left -= len(fresh)
            yield [self._classify(message) for message in fresh]

    def find(self, message_id: str) -> DeadLetter:
        """Return one message, invisible until the end. Raises `NotFound` and botocore's errors."""
        for batch in self.batches(None):
            for letter in batch:
                if letter.message_id == message_id:
                    return letter
        raise NotFound(f"there is no dead letter {message_id[:_ID_SHOWN]!r}")

    def delete(self, letter: DeadLetter) -> None:
        """Delete a message that was received. Raises botocore's errors."""
        handle = self._handles.pop(letter.message_id)
        self._client.delete_message_batch(QueueUrl=self._url, Entries=[{"Id": "0", "ReceiptHandle": handle}])

    def send_back(self, letters: list[DeadLetter]) -> list[DeadLetter]:
        """Send up to ten messages to the orders queue, and delete them here.

        Returns those that the orders queue accepted. Raises botocore's errors, after which a repeat is safe.
        """
        if not letters:
            return []
        answer = self._client.send_message_batch(
            QueueUrl=self._source_url,
            Entries=[
                {"Id": str(number), "MessageBody": letter.body} for number, letter in enumerate(letters)
            ],
        )
        accepted = [letters[int(entry["Id"])] for entry in answer.get("Successful", [])]
        if accepted:
            self._client.delete_message_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": self._handles[letter.message_id]}
                    for number, letter in enumerate(accepted)
                ],
            )
            for letter in accepted:
                del self._handles[letter.message_id]
        return accepted

    def _classify(self, message: dict[str, Any]) -> DeadLetter:
        attributes = message["Attributes"]
        sent = datetime.fromtimestamp(int(attributes["SentTimestamp"]) / 1000, UTC)
        body = message["Body"]
        order_id = attempt = None
        try:
            decoded = decode_json(body, OrderMessage)
        except MalformedJson as error:
            verdict, reason = Verdict.MALFORMED, f"not an order message: {error}"
        else:
            order_id, attempt = decoded.order_id, decoded.attempt
            verdict, reason = self._classify_order(decoded)
        return DeadLetter(
            message_id=message["MessageId"],
            sent_at=sent.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            received=int(attributes["ApproximateReceiveCount"]),
            verdict=verdict,
            reason=reason,
            body=body,
            order_id=order_id,
            attempt=attempt,
        )

    def _classify_order(self, message: OrderMessage) -> tuple[Verdict, str]:
        order = self._orders.find(message.order_id)
        if order is None:
            return Verdict.UNKNOWN_ORDER, f"there is no order {message.order_id}"
        status = f"the order is {order.status.value} in attempt {order.attempt}"
        if order.is_open and order.attempt == message.attempt:
            return Verdict.CAN_BE_RETRIED, f"{status}; the consumer could not start its execution"
        return Verdict.OVERTAKEN, status
