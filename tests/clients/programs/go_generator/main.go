// Places an order with the client of openapi-generator (go).
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	client "clients/generated/generator"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func connect(url string) *client.APIClient {
	configuration := client.NewConfiguration()
	configuration.Servers = client.ServerConfigurations{{URL: url}}
	configuration.AddDefaultHeader("x-api-key", os.Getenv("API_KEY"))
	return client.NewAPIClient(configuration)
}

func main() {
	api, ctx := connect(os.Getenv("API_URL")), context.Background()
	email := fmt.Sprintf("go-%d@example.com", time.Now().UnixNano())
	user, _, err := api.UsersAPI.CreateUser(ctx).UserRequest(*client.NewUserRequest("Ada", email)).Execute()
	check(err)
	product, _, err := api.ProductsAPI.CreateProduct(ctx).
		ProductRequest(*client.NewProductRequest("Lamp", 10000000, 5)).Execute()
	check(err)
	lines := []client.OrderLineRequest{*client.NewOrderLineRequest(product.ProductId, 2)}
	order, _, err := api.OrdersAPI.CreateOrder(ctx).IdempotencyKey("one").
		OrderRequest(*client.NewOrderRequest(user.UserId, lines)).Execute()
	check(err)
	for order.Status == "PENDING" || order.Status == "VALIDATED" {
		time.Sleep(200 * time.Millisecond)
		order, _, err = api.OrdersAPI.GetOrder(ctx, order.OrderId).Execute()
		check(err)
	}
	fmt.Println("order", order.Status, order.GetTotal())
	_, _, err = api.OrdersAPI.GetOrder(ctx, "none").Execute()
	problem := err.(*client.GenericOpenAPIError).Model().(client.Problem)
	fmt.Println("problem", problem.Code)
	later, _, err := connect(os.Getenv("LATER_URL")).OrdersAPI.GetOrder(ctx, "later").Execute()
	check(err)
	fmt.Println("later", later.OrderId)
}
