"""Creates and replaces many products in one request, each with its own result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from functions.shared.domain.errors import InvalidInput
from functions.shared.domain.preconditions import Precondition
from functions.shared.domain.products import BatchProduct, Product, ProductPut
from functions.shared.http import Problem, convert_body

# `/products/batch` is this route, so a product with that id could not be read.
_RESERVED = "batch"

Put = Callable[[str, ProductPut, Precondition], tuple[Product, bool]]


class BatchResult(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The result for one product: 201 or 200 with its version, or another status with its problem.

    The fields in the problem are those of the product. The id is absent if it is not valid.
    """

    status: int
    product_id: str | None = None
    version: int | None = None
    problem: Problem | None = None


class BatchResults(msgspec.Struct, frozen=True, rename="camel"):
    """A result for each product, in the order of the request."""

    results: list[BatchResult]

    @property
    def is_final(self) -> bool:
        """Whether a repeat would end the same: no product met an error of the service."""
        return all(result.status < HTTPStatus.INTERNAL_SERVER_ERROR for result in self.results)


def put_each(entries: Sequence[Any], *, put: Put, problem_of: Callable[[Exception], Problem]) -> BatchResults:
    """Creates or replaces each product. An error becomes the result of its product."""
    seen: set[str] = set()
    results = []
    for entry in entries:
        product_id = None
        try:
            new = convert_body(entry, BatchProduct)
            product_id = new.product_id
            _check_id(product_id, seen)
            product, is_new = put(product_id, new, Precondition())
        except Exception as error:  # noqa: BLE001
            problem = problem_of(error)
            results.append(BatchResult(problem.status, product_id, problem=problem))
            continue
        status = HTTPStatus.CREATED if is_new else HTTPStatus.OK
        results.append(BatchResult(status.value, product_id, product.version))
    return BatchResults(results)


def _check_id(product_id: str, seen: set[str]) -> None:
    if product_id == _RESERVED:
        raise InvalidInput(f"expected another id than {_RESERVED}, which is a route", "productId")
    if product_id in seen:
        raise InvalidInput("this product is earlier in the batch already", "productId")
    seen.add(product_id)
