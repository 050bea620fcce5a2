"""Places an order with the client of openapi-generator (python)."""

# mypy: ignore-errors

import os
import time
import uuid

import orderflow_client as client

KEY = os.environ["API_KEY"]


def connect(url: str) -> client.ApiClient:
    """Returns a client of the API at this URL."""
    return client.ApiClient(client.Configuration(host=url, api_key={"apiKey": KEY}))


api = connect(os.environ["API_URL"])
orders = client.OrdersApi(api)
email = f"{uuid.uuid4()}@example.com"
user = client.UsersApi(api).create_user(client.UserRequest(name="Ada", email=email))
product = client.ProductsApi(api).create_product(
    client.ProductRequest(title="Lamp", price=10_000_000, stock=5)
)
lines = [client.OrderLineRequest(product_id=product.product_id, quantity=2)]
order = orders.create_order(client.OrderRequest(user_id=user.user_id, items=lines), idempotency_key="one")
while order.status in {"PENDING", "VALIDATED"}:
    time.sleep(0.2)
    order = orders.get_order(order.order_id)
print("order", order.status, order.total)
try:
    orders.get_order("none")
except client.ApiException as error:
    print("problem", client.Problem.from_json(error.body).code)
print("later", client.OrdersApi(connect(os.environ["LATER_URL"])).get_order("later").order_id)
