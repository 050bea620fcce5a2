"""What a fulfillment system does with an order, and when: its parcels, refusals and returns over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

Kind = Literal["shipments", "refusals", "returns"]
ID_NAMES: Mapping[Kind, str] = {
    "shipments": "shipmentId",
    "refusals": "refusalId",
    "returns": "returnId",
}


@dataclass(frozen=True, kw_only=True)
class ShippingPlan:
    """What happens to each order. Times are in seconds."""

    ships_after: float = 0.0  # from the request to the first parcel, and between parcels
    parcels: int = 1
    delivers_after: float | None = None  # from shipping a parcel to its delivery; None: never
    refuses: frozenset[str] = frozenset()  # numbers of lines (the first is 1), or ids of products
    returns_after: float | None = None  # from the last parcel's end to its return; None: never
    too_late: bool = False  # refuses each cancellation

    def refuses_line(self, number: int, product_id: str) -> bool:
        """Returns whether a line is refused. The first line has the number 1."""
        return str(number) in self.refuses or product_id in self.refuses


class Fact(NamedTuple):
    """What is true of a parcel, a refusal or a return from a time on. A later fact has all its fields."""

    at: float
    kind: Kind
    id: str
    body: dict[str, Any]


@dataclass
class Ids:
    """Makes the ids of parcels, refusals and returns."""

    _counts: dict[str, int] = field(default_factory=dict)

    def next(self, name: str) -> str:
        """Returns the next id, for example `parcel-2` after `parcel-1`."""
        self._counts[name] = self._counts.get(name, 0) + 1
        return f"{name}-{self._counts[name]}"


class PartnerOrder:
    """An order at the fulfillment system. All its facts are planned when it arrives."""

    def __init__(self, lines: Mapping[str, int], plan: ShippingPlan, ids: Ids, at: float) -> None:
        self.lines = dict(lines)
        self.too_late = plan.too_late
        self.cancelled_at: float | None = None
        self.facts = sorted(_facts(self.lines, plan, ids, at), key=lambda fact: fact.at)
        # Whether it ships at once in one parcel, and nothing follows.
        self.is_immediate = [(fact.at, fact.kind) for fact in self.facts] == [(at, "shipments")]

    def cancel(self, at: float) -> bool:
        """Drops all parcels that have not shipped. Returns False if none was left."""
        if self.cancelled_at is None and self.is_open(at):
            self.cancelled_at = at
            shipped = {fact.id for fact in self.facts if fact.kind == "shipments" and fact.at <= at}
            self.facts = [
                fact
                for fact in self.facts
                if fact.at <= at or fact.id in shipped or (fact.kind == "returns" and shipped)
            ]
        return self.cancelled_at is not None

    def is_refused(self, now: float) -> bool:
        """Returns whether the order was cancelled before anything was shipped."""
        return self.cancelled_at is not None and not self.shipped(now)

    def is_open(self, now: float) -> bool:
        """Returns whether a line is neither shipped nor refused yet."""
        begun = {fact.id for fact in self.facts if fact.at <= now}
        return any(fact.id not in begun for fact in self.facts if fact.kind != "returns")

    def current(self, kind: Kind, now: float) -> dict[str, dict[str, Any]]:
        """Returns what is true now, by id."""
        return {fact.id: fact.body for fact in self.facts if fact.kind == kind and fact.at <= now}

    def shipped(self, now: float) -> dict[str, int]:
        """Returns the shipped quantity of each product."""
        total: dict[str, int] = {}
        for body in self.current("shipments", now).values():
            for line in body["lines"]:
                total[line["productId"]] = total.get(line["productId"], 0) + line["quantity"]
        return total

    def answer(self, now: float) -> dict[str, Any]:
        """Returns all shipments and refusals so far, as the answer to a request."""
        answer: dict[str, Any] = {}
        for kind in ("shipments", "refusals"):
            found = self.current(kind, now)
            if found:
                answer[kind] = [{ID_NAMES[kind]: id_, **body} for id_, body in found.items()]
        return answer


def utc(seconds: float) -> str:
    """Returns a time as ISO 8601 in UTC, with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _facts(lines: Mapping[str, int], plan: ShippingPlan, ids: Ids, at: float) -> Iterator[Fact]:
    numbered = list(enumerate(lines.items(), start=1))
    refused = [line for number, line in numbered if plan.refuses_line(number, line[0])]
    accepted = [line for number, line in numbered if not plan.refuses_line(number, line[0])]
    if refused:
        body = {"lines": _as_lines(refused), "reason": "out of stock"}
        yield Fact(at + plan.ships_after, "refusals", ids.next("refusal"), body)
    ends_at = at
    parcels = _split(accepted, plan.parcels)
    for number, content in enumerate(parcels, start=1):
        shipped_at = at + number * plan.ships_after
        parcel_id = ids.next("parcel")
        body = {
            "lines": _as_lines(content),
            "carrier": "Example Parcels",
            "trackingNumber": f"EX-{parcel_id}",
            "trackingUrl": f"https://tracking.example.com/{parcel_id}",
            "shippedAt": utc(shipped_at),
        }
        yield Fact(shipped_at, "shipments", parcel_id, body)
        ends_at = shipped_at + (plan.delivers_after or 0.0)
        if plan.delivers_after is not None:
            yield Fact(ends_at, "shipments", parcel_id, {**body, "deliveredAt": utc(ends_at)})
    if parcels and plan.returns_after is not None:
        # One piece of the first line comes back. It is in the first parcel.
        line = {"productId": accepted[0][0], "quantity": 1, "restock": True}
        body = {"status": "RECEIVED", "lines": [line], "reason": "not needed"}
        yield Fact(ends_at + plan.returns_after, "returns", ids.next("return"), body)


def _split(lines: Sequence[tuple[str, int]], parcels: int) -> list[list[tuple[str, int]]]:
    """Distributes each line over the parcels. Leaves out a parcel that would be empty."""
    shares = [
        [(product, quantity // parcels + (number < quantity % parcels)) for product, quantity in lines]
        for number in range(parcels)
    ]
    return [content for share in shares if (content := [line for line in share if line[1] > 0])]


def _as_lines(lines: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    return [{"productId": product, "quantity": quantity} for product, quantity in lines]
