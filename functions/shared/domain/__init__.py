"""The business rules of users, products and orders. Pure: no AWS, no clock, no environment, no I/O."""
