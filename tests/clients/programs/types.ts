// Places an order with openapi-fetch and the types of openapi-typescript.
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

declare const process: { env: Record<string, string | undefined> };
const { API_URL, API_KEY, LATER_URL } = process.env;
const connect = (baseUrl?: string) => createClient<paths>({ baseUrl, headers: { "x-api-key": API_KEY } });
const api = connect(API_URL);

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("no data");
  return value;
}

const email = `${crypto.randomUUID()}@example.com`;
const user = present((await api.POST("/users", { body: { name: "Ada", email } })).data);
const product = present(
  (await api.POST("/products", { body: { title: "Lamp", price: 100_000_00, stock: 5 } })).data,
);
let order = present(
  (
    await api.POST("/orders", {
      params: { header: { "Idempotency-Key": "one" } },
      body: { userId: user.userId, items: [{ productId: product.productId, quantity: 2 }] },
    })
  ).data,
);
while (order.status === "PENDING" || order.status === "VALIDATED") {
  await new Promise((resolve) => setTimeout(resolve, 200));
  order = present((await api.GET("/orders/{orderId}", { params: { path: { orderId: order.orderId } } })).data);
}
console.log("order", order.status, order.total);
const missing = await api.GET("/orders/{orderId}", { params: { path: { orderId: "none" } } });
console.log("problem", missing.error?.code);
const later = await connect(LATER_URL).GET("/orders/{orderId}", { params: { path: { orderId: "later" } } });
console.log("later", later.data?.orderId);
