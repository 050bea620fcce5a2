"""The whole order backend, from the client to the shipped order: settings, components, grants, routes.

client -> RestApi -> *_api functions -> tables, queue -> order_consumer -> Workflow -> task functions -> bus
"""

from collections.abc import Mapping, Sequence

import pulumi

from components import fulfillment, iam, packaging
from components.custom_domain import CustomDomain
from components.event_bus import EventBus
from components.firewall import Firewall
from components.function import LambdaFunction
from components.layer import DependencyLayer
from components.metrics import MonitoredParts
from components.monitoring import Monitoring
from components.queue import Queue
from components.rest_api import RestApi
from components.schedule import Schedule
from components.settings.stack import StackSettings
from components.table import Index, Table
from components.tags import tag_everything
from components.workflow import Workflow

settings = StackSettings.load()
tag_everything({"project": pulumi.get_project(), "stack": pulumi.get_stack(), **settings.tags})
if settings.permissions_boundary_arn:
    iam.bound_every_role(settings.permissions_boundary_arn)

# Seconds a task may run. Not in the configuration, because the timeouts of the tasks' states
# (statemachines/order_fulfillment.asl.json) and of the calls that a task makes are built around it.
TASK_TIMEOUT = 6
# Long enough for hundreds of stalled orders; what is left over waits for the next run.
REQUEUE_TIMEOUT = 60
REQUEUE_EVERY_MINUTES = 5

# --- Where things are kept, queued and announced ---

users = Table("users", key="userId", settings=settings.tables)
products = Table("products", key="productId", settings=settings.tables)
orders = Table(
    "orders",
    key="orderId",
    indexes=[
        Index(name="byUser", hash_key="userId", range_key="createdAt"),
        Index(name="open", hash_key="openShard", range_key="openSince"),
    ],
    settings=settings.tables,
)
queue = Queue(
    "orders", consumer_timeout=settings.queue.consumer_timeout_seconds, require_tls=settings.queue.require_tls
)
bus = EventBus("orderflow", description="What happened to orders")
layer = DependencyLayer("dependencies")


functions: list[LambdaFunction] = []


def function(
    name: str,
    timeout: int,
    environment: Mapping[str, pulumi.Input[str]],
    grants: Sequence[iam.Grant] = (),
) -> LambdaFunction:
    declared = LambdaFunction(
        name,
        timeout=timeout,
        environment=environment,
        grants=grants,
        layer=layer,
        settings=settings.functions,
    )
    functions.append(declared)
    return declared


# --- The tasks of the workflow ---

validate_order = function(
    "validate_order",
    TASK_TIMEOUT,
    {"USERS_TABLE": users.name, "PRODUCTS_TABLE": products.name, "ORDERS_TABLE": orders.name},
    grants=[
        users.grant_read("GetItem"),
        products.grant_read("BatchGetItem"),
        orders.grant_read("GetItem"),
    ],
)

fulfill_order = function(
    "fulfill_order",
    TASK_TIMEOUT,
    {
        "PRODUCTS_TABLE": products.name,
        "ORDERS_TABLE": orders.name,
        **fulfillment.environment(settings.fulfillment),
    },
    grants=[
        products.grant_write("UpdateItem"),
        orders.grant_write("UpdateItem"),
        *fulfillment.grant_signing(settings.fulfillment),
    ],
)

release_order = function(
    "release_order",
    TASK_TIMEOUT,
    {"PRODUCTS_TABLE": products.name, "ORDERS_TABLE": orders.name},
    grants=[
        products.grant_write("UpdateItem"),
        orders.grant_read("GetItem"),
        orders.grant_write("UpdateItem"),
    ],
)

update_order_status = function(
    "update_order_status",
    TASK_TIMEOUT,
    {"ORDERS_TABLE": orders.name, "EVENT_BUS_NAME": bus.name},
    grants=[
        orders.grant_write("UpdateItem"),
        bus.grant_put(),
    ],
)

workflow = Workflow(
    "order_fulfillment",
    definition="statemachines/order_fulfillment.asl.json",
    tasks=[validate_order, fulfill_order, release_order, update_order_status],
    settings=settings.workflow,
)

# --- From the queue into the workflow ---

order_consumer = function(
    "order_consumer",
    settings.queue.consumer_timeout_seconds,
    {"STATE_MACHINE_ARN": workflow.arn},
    grants=[
        workflow.grant_start(),
        queue.grant_receive(),
    ],
)
queue.feeds(order_consumer, max_concurrency=settings.queue.consumer_max_concurrency)

# --- The requeue of stalled orders ---

requeue_stalled_orders = function(
    "requeue_stalled_orders",
    REQUEUE_TIMEOUT,
    {
        "ORDERS_TABLE": orders.name,
        "PRODUCTS_TABLE": products.name,
        "ORDERS_QUEUE_URL": queue.url,
        "EVENT_BUS_NAME": bus.name,
        "STATE_MACHINE_ARN": workflow.arn,
        "WORKFLOW_TYPE": settings.workflow.type,
        "STALLED_AFTER_MINUTES": str(settings.requeue.stalled_after_minutes),
        "MAX_ATTEMPTS": str(settings.requeue.max_attempts),
    },
    grants=[
        orders.grant_query("open"),
        orders.grant_read("GetItem"),
        orders.grant_write("UpdateItem"),
        products.grant_write("UpdateItem"),
        queue.grant_metrics(),
        queue.grant_send(),
        bus.grant_put(),
        *workflow.grant_describe(),
    ],
)
Schedule("requeue", function=requeue_stalled_orders, every_minutes=REQUEUE_EVERY_MINUTES)

# --- The functions behind the API ---

cors: dict[str, pulumi.Input[str]] = {"CORS_ORIGINS": ",".join(settings.api.cors_origins)}

users_api = function(
    "users_api",
    settings.api.timeout_seconds,
    {"USERS_TABLE": users.name, **cors},
    grants=[
        users.grant_read("GetItem", "Scan"),
        users.grant_write("PutItem", "UpdateItem", "DeleteItem"),
    ],
)

products_api = function(
    "products_api",
    settings.api.timeout_seconds,
    {"PRODUCTS_TABLE": products.name, "DEFAULT_CURRENCY": settings.api.default_currency, **cors},
    grants=[
        products.grant_read("GetItem", "Scan"),
        products.grant_write("PutItem", "UpdateItem", "DeleteItem"),
    ],
)

orders_api = function(
    "orders_api",
    settings.api.timeout_seconds,
    {"ORDERS_TABLE": orders.name, "ORDERS_QUEUE_URL": queue.url, "EVENT_BUS_NAME": bus.name, **cors},
    grants=[
        orders.grant_read("GetItem", "BatchGetItem"),
        orders.grant_query("byUser"),
        orders.grant_write("PutItem", "UpdateItem"),
        queue.grant_send(),
        bus.grant_put(),
    ],
)

service_api = function(
    "service_api",
    settings.api.timeout_seconds,
    {"STACK_NAME": pulumi.get_stack(), "SERVICE_VERSION": packaging.code_version(), **cors},
)

# --- The API ---

api = RestApi("orderflow", description="Users, products and orders", settings=settings.api)
api.route("GET", "/", service_api, key_required=False)
api.route("GET", "/openapi.json", service_api, key_required=False)
api.route("GET", "/docs", service_api, key_required=False)
api.route("POST", "/users", users_api)
api.route("GET", "/users", users_api)
api.route("GET", "/users/{userId}", users_api)
api.route("PATCH", "/users/{userId}", users_api)
api.route("DELETE", "/users/{userId}", users_api)
api.route("GET", "/users/{userId}/orders", orders_api)
api.route("POST", "/products", products_api)
api.route("GET", "/products", products_api)
api.route("GET", "/products/{productId}", products_api)
api.route("PATCH", "/products/{productId}", products_api)
api.route("DELETE", "/products/{productId}", products_api)
api.route("POST", "/orders", orders_api)
api.route("GET", "/orders/{orderId}", orders_api)
api.route("POST", "/orders/{orderId}/cancel", orders_api)
api.deploy()

api_url = api.url
if settings.custom_domain:
    api_url = CustomDomain("orderflow", api=api, settings=settings.custom_domain).url
if settings.firewall:
    Firewall("orderflow", api=api)

# --- What the operators see ---

monitoring = Monitoring(
    "orderflow",
    observed=MonitoredParts(
        api=api,
        queue=queue,
        workflow=workflow,
        functions=functions,
        tables={"users": users, "products": products, "orders": orders},
        requeue_minutes=REQUEUE_EVERY_MINUTES,
    ),
    settings=settings.monitoring,
)

# --- What other projects, the command line and the tests rely on ---

pulumi.export("apiUrl", api_url)
pulumi.export("apiId", api.id)
pulumi.export("apiStage", api.stage_name)
pulumi.export("apiRootResourceId", api.root_resource_id)
pulumi.export("apiResourceIds", api.resource_ids)
pulumi.export("apiKeyIds", api.api_key_ids)
pulumi.export("usagePlanIds", api.usage_plan_ids)
pulumi.export("tableNames", {"users": users.name, "products": products.name, "orders": orders.name})
pulumi.export("queueUrl", queue.url)
pulumi.export("deadLetterQueueUrl", queue.dead_letter_url)
pulumi.export("stateMachineArn", workflow.arn)
pulumi.export("eventBusName", bus.name)
pulumi.export("dashboardUrl", monitoring.dashboard_url)
