"""Users, products and orders in DynamoDB. Only this package contains table layouts and expressions."""
