"""The operator's side: look into orders and the dead-letter queue, and set right what went wrong.

Works on a stack in AWS or on the embedded one, with the same code as the Lambdas: see `python -m ops --help`
and `docs/operations.md`.
"""
