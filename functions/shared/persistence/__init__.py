"""Users, products and orders in DynamoDB. The only place that knows table layouts and expressions."""
