"""Messages to the orders queue."""

from __future__ import annotations

import json
from typing import Any

from functions.shared.order_queue import OrderMessage, OrderQueue


class RefusingQueue:
    """An SQS client that refuses the entries of some orders, as often as they say."""

    def __init__(self, refusals: dict[str, int]) -> None:
        self.sent: list[list[str]] = []
        self._refusals = refusals

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, str]]) -> Any:  # noqa: N803
        orders = {entry["Id"]: json.loads(entry["MessageBody"])["orderId"] for entry in Entries}
        self.sent.append(list(orders.values()))
        refused = [number for number, order in orders.items() if self._refusals.get(order, 0) > 0]
        for number in refused:
            self._refusals[orders[number]] -= 1
        return {"Failed": [{"Id": number} for number in refused]}


def message(order_id: str, attempt: int = 1) -> OrderMessage:
    return OrderMessage(order_id=order_id, attempt=attempt, correlation_id="c")


def test_only_refused_messages_are_sent_again() -> None:
    client = RefusingQueue({"b": 1})
    assert OrderQueue(client, "url").send_all([message("a"), message("b"), message("c")]) == []
    assert client.sent == [["a", "b", "c"], ["b"]]


def test_messages_that_are_refused_twice_are_returned() -> None:
    client = RefusingQueue({"b": 9, "c": 1})
    refused = OrderQueue(client, "url").send_all([message("a"), message("b"), message("c")])
    assert [one.order_id for one in refused] == ["b"]
    assert client.sent == [["a", "b", "c"], ["b", "c"]]


def test_an_execution_has_one_name_per_attempt() -> None:
    assert message("o-1", 2).execution_name == "o-1-2"
