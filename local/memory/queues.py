"""SQS in memory: the orders queue and its dead-letter queue, without delays."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

_ids = count(1)


@dataclass
class Message:
    """A message on a queue."""

    body: str
    receives: int = 0  # deliveries
    id: str = field(default_factory=lambda: f"m-{next(_ids)}", compare=False)
    is_hidden: bool = field(default=False, compare=False)  # received, and not yet visible again


class Queue(deque[Message]):
    """A queue's messages, oldest first, and the SQS calls that the project makes."""

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the decoded response to one call. Raises LookupError for other operations."""
        handler = {
            "SendMessage": self._send_message,
            "SendMessageBatch": self._send_message_batch,
            "ReceiveMessage": self._receive_message,
            "DeleteMessageBatch": self._delete_message_batch,
            "ChangeMessageVisibilityBatch": self._change_message_visibility_batch,
            "GetQueueAttributes": self._get_queue_attributes,
        }[operation]
        return handler(request)

    def _send_message(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.append(Message(request["MessageBody"]))
        return {}

    def _send_message_batch(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.extend(Message(entry["MessageBody"]) for entry in request["Entries"])
        return _all_successful(request)

    def _receive_message(self, request: Mapping[str, Any]) -> dict[str, Any]:
        received = [message for message in self if not message.is_hidden][: request["MaxNumberOfMessages"]]
        for message in received:
            message.is_hidden = True
            message.receives += 1
        return {
            "Messages": [
                {
                    "MessageId": message.id,
                    "ReceiptHandle": message.id,
                    "Body": message.body,
                    "Attributes": {"ApproximateReceiveCount": str(message.receives), "SentTimestamp": "0"},
                }
                for message in received
            ]
        }

    def _delete_message_batch(self, request: Mapping[str, Any]) -> dict[str, Any]:
        deleted = {entry["ReceiptHandle"] for entry in request["Entries"]}
        kept = [message for message in self if message.id not in deleted]
        self.clear()
        self.extend(kept)
        return _all_successful(request)

    def _change_message_visibility_batch(self, request: Mapping[str, Any]) -> dict[str, Any]:
        changed = {entry["ReceiptHandle"]: entry["VisibilityTimeout"] > 0 for entry in request["Entries"]}
        for message in self:
            message.is_hidden = changed.get(message.id, message.is_hidden)
        return _all_successful(request)

    def _get_queue_attributes(self, request: Mapping[str, Any]) -> dict[str, Any]:
        visible = sum(not message.is_hidden for message in self)
        attributes = {
            "ApproximateNumberOfMessages": str(visible),
            "QueueArn": request["QueueUrl"].rpartition("/")[2],
        }
        return {"Attributes": {name: attributes[name] for name in request["AttributeNames"]}}


def _all_successful(request: Mapping[str, Any]) -> dict[str, Any]:
    return {"Successful": [{"Id": entry["Id"]} for entry in request["Entries"]]}
