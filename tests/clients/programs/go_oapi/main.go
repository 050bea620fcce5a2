// Places an order with the client of oapi-codegen.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	client "clients/generated/oapi"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func connect(url string) *client.ClientWithResponses {
	key := client.WithRequestEditorFn(func(_ context.Context, request *http.Request) error {
		request.Header.Set("x-api-key", os.Getenv("API_KEY"))
		return nil
	})
	api, err := client.NewClientWithResponses(url, key)
	check(err)
	return api
}

func main() {
	api, ctx := connect(os.Getenv("API_URL")), context.Background()
	email := fmt.Sprintf("oapi-%d@example.com", time.Now().UnixNano())
	user, err := api.CreateUserWithResponse(ctx, nil, client.UserRequest{Name: "Ada", Email: email})
	check(err)
	product, err := api.CreateProductWithResponse(ctx, nil, client.ProductRequest{Title: "Lamp", Price: 10000000, Stock: 5})
	check(err)
	key := client.IdempotencyKey("one")
	placed, err := api.CreateOrderWithResponse(ctx, &client.CreateOrderParams{IdempotencyKey: &key}, client.OrderRequest{
		UserId: user.JSON201.UserId,
		Items:  []client.OrderLineRequest{{ProductId: product.JSON201.ProductId, Quantity: 2}},
	})
	check(err)
	order := placed.JSON201
	for order.Status == "PENDING" || order.Status == "VALIDATED" {
		time.Sleep(200 * time.Millisecond)
		answer, err := api.GetOrderWithResponse(ctx, order.OrderId, nil)
		check(err)
		order = answer.JSON200
	}
	fmt.Println("order", order.Status, *order.Total)
	missing, err := api.GetOrderWithResponse(ctx, "none", nil)
	check(err)
	fmt.Println("problem", missing.ApplicationproblemJSON404.Code)
	later, err := connect(os.Getenv("LATER_URL")).GetOrderWithResponse(ctx, "later", nil)
	check(err)
	fmt.Println("later", later.JSON200.OrderId)
}
