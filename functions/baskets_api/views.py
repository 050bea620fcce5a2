"""The basket as clients get it: priced as a quote."""

from __future__ import annotations

from functions.shared.domain.quotes import Quote


class BasketView(Quote, frozen=True, rename="camel", omit_defaults=True):
    """The basket of a user at today's prices. The id is absent until a product is put in."""

    basket_id: str | None = None
