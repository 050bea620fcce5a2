// Places an order with the client of openapi-generator (java, library native).
import java.util.UUID;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.OrdersApi;
import org.openapitools.client.api.ProductsApi;
import org.openapitools.client.api.UsersApi;
import org.openapitools.client.model.*;

public class Scenario {
  static ApiClient client(String url) {
    ApiClient client = new ApiClient();
    client.updateBaseUri(url);
    client.setRequestInterceptor(request -> request.header("x-api-key", System.getenv("API_KEY")));
    return client;
  }

  static OrdersApi.APIGetOrderRequest order(String id) {
    return OrdersApi.APIGetOrderRequest.newBuilder().orderId(id).build();
  }

  public static void main(String[] arguments) throws Exception {
    ApiClient client = client(System.getenv("API_URL"));
    OrdersApi orders = new OrdersApi(client);
    String email = UUID.randomUUID() + "@example.com";
    User user = new UsersApi(client).createUser(UsersApi.APICreateUserRequest.newBuilder()
        .userRequest(new UserRequest().name("Ada").email(email)).build());
    Product product = new ProductsApi(client).createProduct(ProductsApi.APICreateProductRequest.newBuilder()
        .productRequest(new ProductRequest().title("Lamp").price(100_000_00L).stock(5)).build());
    Order order = orders.createOrder(OrdersApi.APICreateOrderRequest.newBuilder().idempotencyKey("one")
        .orderRequest(new OrderRequest().userId(user.getUserId())
            .addItemsItem(new OrderLineRequest().productId(product.getProductId()).quantity(2))).build());
    while (order.getStatus().equals("PENDING") || order.getStatus().equals("VALIDATED")) {
      Thread.sleep(200);
      order = orders.getOrder(order(order.getOrderId()));
    }
    System.out.println("order " + order.getStatus() + " " + order.getTotal());
    try {
      orders.getOrder(order("none"));
    } catch (ApiException error) {
      Problem problem = client.getObjectMapper().readValue(error.getResponseBody(), Problem.class);
      System.out.println("problem " + problem.getCode());
    }
    Order later = new OrdersApi(client(System.getenv("LATER_URL"))).getOrder(order("later"));
    System.out.println("later " + later.getOrderId());
  }
}
