"""SQS: keeps the latest status of every order."""
