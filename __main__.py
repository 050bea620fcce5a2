"""The whole order backend: settings, tables and queue, functions with their grants, API, monitoring.

client -> RestApi -> *_api functions -> tables, queue -> order_consumer -> Workflow -> task functions -> bus
"""

import pulumi

from components import iam, packaging
from components.custom_domain import CustomDomain
from components.dashboard import Widget
from components.event_bus import EventBus
from components.firewall import Firewall
from components.fulfillment import connect_fulfillment, with_fulfillment
from components.function import Environment, LambdaFunction
from components.layer import DependencyLayer
from components.metrics import MonitoredParts
from components.monitoring import Alarm, Monitoring
from components.queue import Queue
from components.rest_api import RestApi
from components.schedule import Schedule
from components.settings.stack import StackSettings
from components.table import Index, Table
from components.tags import tag_everything
from components.warm_starts import publish_versions, use_alias
from components.workflow import Workflow

settings = StackSettings.load()
tag_everything({"project": pulumi.get_project(), "stack": pulumi.get_stack(), **settings.tags})
iam.bound_every_role(settings.permissions_boundary_arn)

# Seconds. The timeouts in the state machine and of a task's calls depend on it.
TASK_TIMEOUT = 6
# Enough for hundreds of stalled orders. The next run processes the rest.
REQUEUE_TIMEOUT = 60

# --- Tables, queue and event bus ---

users = Table("users", key="userId", settings=settings.tables)
products = Table(
    "products",
    key="productId",
    indexes=[Index(name="byCategory", hash_key="category", range_key="productId")],
    settings=settings.tables,
)
orders = Table(
    "orders",
    key="orderId",
    indexes=[
        Index(name="byUser", hash_key="userId", range_key="createdAt"),
        Index(name="open", hash_key="openShard", range_key="dueAt"),
        Index(name="byTime", hash_key="timeShard", range_key="createdAt"),
        Index(name="failed", hash_key="failedShard", range_key="createdAt"),
        Index(name="byReference", hash_key="reference", range_key="createdAt"),
    ],
    settings=settings.tables,
)
baskets = Table("baskets", key="userId", expires="expiresAt", settings=settings.tables)
emails = Table("emails", key="emailKey", settings=settings.tables)
requests = Table("requests", key="requestId", expires="expiresAt", settings=settings.tables)
tables = {
    "users": users,
    "products": products,
    "orders": orders,
    "baskets": baskets,
    "emails": emails,
    "requests": requests,
}
queue = Queue("orders", settings=settings.queue)
bus = EventBus("orderflow", description="Order events")
layer = DependencyLayer("dependencies")

functions: list[LambdaFunction] = []


def function(
    name: str,
    environment: Environment,
    grants: iam.Grants = (),
    *,
    timeout: int = TASK_TIMEOUT,
    ships: bool = False,
) -> LambdaFunction:
    """Declares the function of the folder `functions/<name>/`. If it `ships`, it may call others to ship."""
    environment, grants = with_fulfillment(settings.fulfillment, ships, environment, grants, orders)
    declared = LambdaFunction(
        name,
        timeout=timeout,
        environment=environment,
        grants=grants,
        layer=layer,
        settings=settings.functions,
        opts=publish_versions(settings.warm_starts, name),
    )
    use_alias(settings.warm_starts, declared)
    functions.append(declared)
    return declared


# --- The tasks of the workflow ---

events: dict[str, pulumi.Input[str]] = {
    "EVENT_BUS_NAME": bus.name,
    **({"ORDER_PLACED_EVENT": "true"} if settings.order_placed_event else {}),
}

validate_order = function(
    "validate_order",
    {"USERS_TABLE": users.name, "PRODUCTS_TABLE": products.name, "ORDERS_TABLE": orders.name},
    [users.grant_read("GetItem"), products.grant_read("BatchGetItem"), orders.grant_read("GetItem")],
)

fulfill_order = function(
    "fulfill_order",
    {
        "PRODUCTS_TABLE": products.name,
        "ORDERS_TABLE": orders.name,
    },
    [
        products.grant_write("UpdateItem"),
        orders.grant_write("UpdateItem"),
    ],
    ships=True,
)

release_order = function(
    "release_order",
    {"PRODUCTS_TABLE": products.name, "ORDERS_TABLE": orders.name},
    [products.grant_write("UpdateItem"), orders.grant_read("GetItem"), orders.grant_write("UpdateItem")],
)

update_order_status = function(
    "update_order_status",
    {"ORDERS_TABLE": orders.name, **events},
    [orders.grant_write("UpdateItem"), bus.grant_put()],
)

workflow = Workflow(
    "order_fulfillment",
    tasks=[validate_order, fulfill_order, release_order, update_order_status],
    values={"ordersTable": orders.name},
    grants=[orders.grant_update("orderId", "attempt", "status", "openShard", "dueAt", "revision")],
    settings=settings.workflow,
)

# --- The consumer: from the queue into the workflow ---

order_consumer = function(
    "order_consumer",
    {"STATE_MACHINE_ARN": workflow.arn},
    [workflow.grant_start(), queue.grant_receive()],
    timeout=settings.queue.consumer_timeout_seconds,
)
queue.feeds(order_consumer)

# --- The requeue of stalled orders ---

requeue_stalled_orders = function(
    "requeue_stalled_orders",
    {
        "ORDERS_TABLE": orders.name,
        "PRODUCTS_TABLE": products.name,
        "ORDERS_QUEUE_URL": queue.url,
        **events,
        "STATE_MACHINE_ARN": workflow.arn,
        "WORKFLOW_TYPE": settings.workflow.type,
        "STALLED_AFTER_MINUTES": str(settings.requeue.stalled_after_minutes),
        "MAX_ATTEMPTS": str(settings.requeue.max_attempts),
    },
    [
        orders.grant_query("open"),
        orders.grant_read("GetItem"),
        orders.grant_write("UpdateItem"),
        products.grant_write("UpdateItem"),
        queue.grant_metrics(),
        queue.grant_send(),
        bus.grant_put(),
        *workflow.grant_describe(),
    ],
    timeout=REQUEUE_TIMEOUT,
    ships=True,
)
requeue = Schedule("requeue", function=requeue_stalled_orders, every_minutes=5)

# --- The functions behind the API ---

cors: dict[str, pulumi.Input[str]] = {"CORS_ORIGINS": ",".join(settings.api.cors_origins)}
# For routes that take an Idempotency-Key.
keeps_requests: dict[str, pulumi.Input[str]] = {"REQUESTS_TABLE": requests.name}

users_api = function(
    "users_api",
    {"USERS_TABLE": users.name, "EMAILS_TABLE": emails.name, **keeps_requests, **cors},
    [
        users.grant_read("GetItem", "Scan"),
        users.grant_write("PutItem", "UpdateItem", "DeleteItem"),
        emails.grant_read("GetItem"),
        emails.grant_write("PutItem", "DeleteItem"),
        requests.grant_write("PutItem", "UpdateItem"),
    ],
    timeout=settings.api.timeout_seconds,
)

products_api = function(
    "products_api",
    {
        "PRODUCTS_TABLE": products.name,
        "DEFAULT_CURRENCY": settings.api.default_currency,
        **keeps_requests,
        **cors,
    },
    [
        products.grant_read("GetItem", "BatchGetItem", "Scan"),
        products.grant_query("byCategory"),
        products.grant_write("PutItem", "UpdateItem", "DeleteItem"),
        requests.grant_write("PutItem", "UpdateItem"),
    ],
    timeout=settings.api.timeout_seconds,
)

orders_api = function(
    "orders_api",
    {
        "USERS_TABLE": users.name,
        "PRODUCTS_TABLE": products.name,
        "BASKETS_TABLE": baskets.name,
        "ORDERS_TABLE": orders.name,
        "ORDERS_QUEUE_URL": queue.url,
        **events,
        "STALLED_AFTER_MINUTES": str(settings.requeue.stalled_after_minutes),
        **keeps_requests,
        **cors,
    },
    [
        orders.grant_read("GetItem", "BatchGetItem"),
        orders.grant_query("byUser", "open", "byTime", "failed", "byReference"),
        users.grant_read("GetItem"),
        products.grant_read("BatchGetItem"),
        baskets.grant_read("GetItem"),
        baskets.grant_write("UpdateItem"),
        orders.grant_write("PutItem", "UpdateItem"),
        requests.grant_write("PutItem", "UpdateItem"),
        queue.grant_send(),
        bus.grant_put(),
    ],
    timeout=settings.api.timeout_seconds,
)

baskets_api = function(
    "baskets_api",
    {
        "USERS_TABLE": users.name,
        "PRODUCTS_TABLE": products.name,
        "BASKETS_TABLE": baskets.name,
        "BASKET_DAYS": str(settings.api.basket_days),
        **cors,
    },
    [
        users.grant_read("GetItem"),
        products.grant_read("BatchGetItem"),
        baskets.grant_read("GetItem"),
        baskets.grant_write("UpdateItem"),
    ],
    timeout=settings.api.timeout_seconds,
)

reports_api = function(
    "reports_api",
    {"ORDERS_TABLE": orders.name, "PRODUCTS_TABLE": products.name, **events, **cors},
    [
        orders.grant_read("GetItem"),
        orders.grant_write("UpdateItem"),
        products.grant_write("UpdateItem"),
        bus.grant_put(),
    ],
    timeout=settings.api.timeout_seconds,
    ships=True,
)

service_api = function(
    "service_api",
    {"STACK_NAME": pulumi.get_stack(), "SERVICE_VERSION": packaging.code_version(), **cors},
    timeout=settings.api.timeout_seconds,
)

# --- The API ---

# Those of optional capabilities.
alarms: list[Alarm] = []
graphs: list[Widget] = []
api = RestApi("orderflow", description="Users, products and orders", settings=settings.api)
for path in ("/", "/openapi.json", "/docs"):
    api.route("GET", path, service_api, key_required=False)
api.route("POST", "/users", users_api)
api.route("GET", "/users", users_api)
api.route("GET", "/users/{userId}", users_api)
api.route("PUT", "/users/{userId}", users_api)
api.route("PATCH", "/users/{userId}", users_api)
api.route("DELETE", "/users/{userId}", users_api)
api.route("GET", "/users/{userId}/orders", orders_api)
api.route("GET", "/users/{userId}/basket", baskets_api)
api.route("DELETE", "/users/{userId}/basket", baskets_api)
api.route("PUT", "/users/{userId}/basket/items/{productId}", baskets_api)
api.route("DELETE", "/users/{userId}/basket/items/{productId}", baskets_api)
api.route("POST", "/users/{userId}/basket/checkout", orders_api)
api.route("POST", "/products", products_api)
api.route("GET", "/products", products_api)
api.route("GET", "/products/{productId}", products_api)
api.route("PUT", "/products/{productId}", products_api)
api.route("PATCH", "/products/{productId}", products_api)
api.route("DELETE", "/products/{productId}", products_api)
api.route("POST", "/products/{productId}/stock", products_api)
api.route("POST", "/products/batch", products_api)
api.route("POST", "/quotes", products_api)
api.route("GET", "/orders", orders_api)
api.route("POST", "/orders", orders_api)
api.route("GET", "/orders/{orderId}", orders_api)
api.route("POST", "/orders/{orderId}/cancel", orders_api)
api.route("PUT", "/orders/{orderId}/returns/{returnId}", reports_api)
connect_fulfillment(settings.fulfillment, bus, requeue_stalled_orders, api, reports_api, alarms, graphs)
api.deploy()

api_url = api.url
if settings.custom_domain:
    api_url = CustomDomain("orderflow", api=api, settings=settings.custom_domain, alarms=alarms).url
if settings.firewall:
    Firewall("orderflow", api=api)

# --- Alarms and dashboard ---

parts = MonitoredParts(
    api=api, queue=queue, workflow=workflow, functions=functions, tables=tables, requeue=requeue
)
monitoring = Monitoring(
    "orderflow", observed=parts, settings=settings.monitoring, alarms=alarms, graphs=graphs
)

# --- Exports for other projects, `ops` and the tests ---

pulumi.export("apiUrl", api_url)
pulumi.export("apiId", api.id)
pulumi.export("apiStage", api.stage_name)
pulumi.export("apiRootResourceId", api.root_resource_id)
pulumi.export("apiResourceIds", api.resource_ids)
pulumi.export("apiKeyIds", api.api_key_ids)
pulumi.export("usagePlanIds", api.usage_plan_ids)
pulumi.export("tableNames", {name: table.name for name, table in tables.items()})
pulumi.export("queueUrl", queue.url)
pulumi.export("deadLetterQueueUrl", queue.dead_letter_url)
pulumi.export("stateMachineArn", workflow.arn)
pulumi.export("eventBusName", bus.name)
pulumi.export("orderPlacedEvent", settings.order_placed_event)
pulumi.export("stalledAfterMinutes", settings.requeue.stalled_after_minutes)
pulumi.export("dashboardUrl", monitoring.dashboard_url)
