"""Requests with an `Idempotency-Key`, with the hash of their body and their answer.

An entry is written before the request takes effect, and has the id of an operation. A record that the request
creates has that id. Other effects are marked in the entry in their own transaction. So a request that was cut
off at any point can run again, and one that runs twice at once takes effect once. No entry is a lock, so none
has to be released.
"""

from __future__ import annotations

import uuid
import zlib
from typing import Any, NamedTuple

import msgspec
from botocore.exceptions import ClientError

from functions.shared import clock
from functions.shared.domain.errors import IdempotencyKeyReused, StoreContention
from functions.shared.persistence.dynamodb import (
    Item,
    UpdateExpression,
    from_value,
    is_condition_failure,
    item_before,
    to_item,
    write,
)

# A client may repeat a request for 24 hours after its answer. The hour is for clocks that differ.
KEPT_SECONDS = 25 * 60 * 60
# A larger body is kept compressed. The largest, an order with 150 reports, has 760 KB, and an item at most
# 400 KB. Its lines repeat, so less than 30 KB remain.
_PLAIN_BYTES = 300_000


class KeptAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to a request, as it was sent."""

    status: int
    headers: dict[str, str]
    body: str


class KeptRequest(NamedTuple):
    """An entry: its id, the id of the operation, and the answer if there is one.

    `effect` is the id that `marking` got, if the request took effect before.
    """

    request_id: str
    operation_id: str
    answer: KeptAnswer | None = None
    effect: str | None = None


class RequestRepository:
    """The table of requests with a key."""

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    def begin(self, request_id: str, body_hash: str, *, at: str) -> KeptRequest:
        """Enters a request, and returns the entry or an earlier one.

        Raises `IdempotencyKeyReused` if the earlier request had another body.
        """
        now = clock.epoch(at)
        entry = {
            "requestId": request_id,
            "bodyHash": body_hash,
            "operationId": str(uuid.uuid4()),
            "expiresAt": now + KEPT_SECONDS,
        }
        try:
            self._client.put_item(
                TableName=self._table,
                Item=to_item(entry),
                # DynamoDB deletes an expired entry some time later.
                ConditionExpression="attribute_not_exists(requestId) OR expiresAt <= :now",
                ExpressionAttributeValues={":now": {"N": str(now)}},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if not is_condition_failure(error):
                raise
            first = item_before(error)
            if first is None:
                raise StoreContention("the entry of the request was deleted meanwhile") from error
            if first["bodyHash"]["S"] != body_hash:
                raise IdempotencyKeyReused("this Idempotency-Key came with another request before") from error
            effect = first.get("effect", {}).get("S")
            return KeptRequest(request_id, first["operationId"]["S"], _answer_in(first), effect)
        return KeptRequest(request_id, str(entry["operationId"]))

    def keep(self, request: KeptRequest, answer: KeptAnswer) -> KeptAnswer:
        """Stores the answer to a request. Returns it, or the one that is stored already."""
        update = (
            UpdateExpression()
            .set("answer", _to_kept(answer))
            .require_equal("operationId", request.operation_id)
            .require_absent("answer")
        )
        try:
            write(
                self._client.update_item,
                TableName=self._table,
                Key=_key(request),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **update.parameters(),
            )
        except ClientError as error:
            if not is_condition_failure(error):
                raise
            return _answer_in(item_before(error) or {}) or answer
        return answer

    def marking(self, request: KeptRequest, effect: str | None = None) -> dict[str, Any]:
        """Returns the part of a transaction that marks the request's effect.

        Its condition fails if the request took effect before. A repeat finds `effect`, such as the id of a
        record that the transaction stores, in its entry.
        """
        update = (
            UpdateExpression()
            .set("done", True)
            .require_equal("operationId", request.operation_id)
            .require_absent("done")
        )
        if effect is not None:
            update.set("effect", effect)
        return {"TableName": self._table, "Key": _key(request), **update.parameters()}


def _key(request: KeptRequest) -> Item:
    return {"requestId": {"S": request.request_id}}


def _to_kept(answer: KeptAnswer) -> dict[str, Any]:
    kept: dict[str, Any] = msgspec.to_builtins(answer)
    body = answer.body.encode()
    return kept | {"body": zlib.compress(body)} if len(body) > _PLAIN_BYTES else kept


def _answer_in(entry: Item) -> KeptAnswer | None:
    if "answer" not in entry:
        return None
    kept = from_value(entry["answer"])
    if isinstance(kept["body"], bytes):
        kept["body"] = zlib.decompress(kept["body"]).decode()
    return msgspec.convert(kept, KeptAnswer)
