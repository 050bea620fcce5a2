"""The dead-letter queue: why each message is there, and sending back what can be tried again.

On AWS SQS could move messages by itself (StartMessageMoveTask), but it would move the malformed ones as well.
Here each message is sent to the orders queue first and deleted afterwards: a crash in between repeats it,
which the consumer tolerates.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from types import TracebackType
from typing import Any, Self

import msgspec

from functions.shared.json_input import MalformedJson, decode_json
from functions.shared.order_queue import OrderMessage
from functions.shared.persistence.orders import OrderRepository

# SQS hands out and takes at most ten at a time.
_BATCH = 10
# For how long, in seconds, a message is out of others' sight while it is looked at here; those that stay are
# shown again at the end.
_HIDDEN = 60
# With a wait SQS asks all its servers, so that an empty answer means an empty queue. Seconds.
_WAIT = 1


class Verdict(StrEnum):
    """What sending a message back would do."""

    CAN_BE_RETRIED = "can be retried"  # its order waits for exactly this attempt
    OVERTAKEN = "overtaken"  # its order went on without it: sending it back only clears the queue
    UNKNOWN_ORDER = "unknown order"  # there is no such order: it would fail again
    MALFORMED = "malformed"  # it is no order message: it would fail again

    @property
    def is_hopeless(self) -> bool:
        """Whether the message would come back here."""
        return self in (Verdict.UNKNOWN_ORDER, Verdict.MALFORMED)


class DeadLetter(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A message of the dead-letter queue. `received` counts all deliveries, those of the orders queue too."""

    message_id: str
    sent_at: str
    received: int
    verdict: Verdict
    reason: str
    body: str
    order_id: str | None = None
    attempt: int | None = None


class DeadLetterQueue:
    """The messages that the consumer could not work off. Within a `with` block; at its end all messages that
    were looked at and not deleted are there for everybody again."""

    def __init__(self, client: Any, url: str, source_url: str, orders: OrderRepository) -> None:
        """`source_url` is the queue to which messages go back."""
        self._client = client
        self._url = url
        self._source_url = source_url
        self._orders = orders
        self._handles: dict[str, str] = {}  # message id -> receipt handle of what is hidden by us

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
        """About how many messages there are, without those that somebody is looking at."""
        name = "ApproximateNumberOfMessages"
        answer = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=[name])
        return int(answer["Attributes"][name])

    def batches(self, limit: int | None) -> Iterator[list[DeadLetter]]:
        """The messages, up to ten at a time, each once. Raises botocore's errors."""
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
            if not fresh:  # the end, or so many that the first ones are in sight again
                return
            if left is not None:
                left -= len(fresh)
            yield [self._judge(message) for message in fresh]

    def send_back(self, letters: list[DeadLetter]) -> list[DeadLetter]:
        """Send up to ten messages to the queue they came from, and delete them here.

        Returns those that the queue took. Raises botocore's errors, after which a repeat is safe.
        """
        if not letters:
            return []
        answer = self._client.send_message_batch(
            QueueUrl=self._source_url,
            Entries=[
                {"Id": str(number), "MessageBody": letter.body} for number, letter in enumerate(letters)
            ],
        )
        taken = [letters[int(entry["Id"])] for entry in answer.get("Successful", [])]
        if taken:
            self._client.delete_message_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": self._handles[letter.message_id]}
                    for number, letter in enumerate(taken)
                ],
            )
            for letter in taken:
                del self._handles[letter.message_id]
        return taken

    def _judge(self, message: dict[str, Any]) -> DeadLetter:
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
            verdict, reason = self._judge_order(decoded)
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

    def _judge_order(self, message: OrderMessage) -> tuple[Verdict, str]:
        order = self._orders.find(message.order_id)
        if order is None:
            return Verdict.UNKNOWN_ORDER, f"there is no order {message.order_id}"
        standing = f"the order is {order.status.value} in attempt {order.attempt}"
        if order.is_open and order.attempt == message.attempt:
            return Verdict.CAN_BE_RETRIED, f"{standing}; the consumer could not start its execution"
        return Verdict.OVERTAKEN, standing
