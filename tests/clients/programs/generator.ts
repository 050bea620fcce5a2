// Places an order with the client of openapi-generator (typescript-fetch).
import { Configuration, OrdersApi, ProductsApi, ResponseError, UsersApi } from "./generator/index.js";

declare const process: { env: Record<string, string | undefined> };
const { API_URL, API_KEY, LATER_URL } = process.env;
const connect = (basePath?: string) => new Configuration({ basePath, apiKey: API_KEY });
const configuration = connect(API_URL);
const orders = new OrdersApi(configuration);

const email = `${crypto.randomUUID()}@example.com`;
const user = await new UsersApi(configuration).createUser({ userRequest: { name: "Ada", email } });
const product = await new ProductsApi(configuration).createProduct({
  productRequest: { title: "Lamp", price: 100_000_00, stock: 5 },
});
let order = await orders.createOrder({
  idempotencyKey: "one",
  orderRequest: { userId: user.userId, items: [{ productId: product.productId, quantity: 2 }] },
});
while (order.status === "PENDING" || order.status === "VALIDATED") {
  await new Promise((resolve) => setTimeout(resolve, 200));
  order = await orders.getOrder({ orderId: order.orderId });
}
console.log("order", order.status, order.total);
try {
  await orders.getOrder({ orderId: "none" });
} catch (error) {
  if (!(error instanceof ResponseError)) throw error;
  console.log("problem", (await error.response.json()).code);
}
const later = await new OrdersApi(connect(LATER_URL)).getOrder({ orderId: "later" });
console.log("later", later.orderId);
