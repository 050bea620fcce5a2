"""The operator's commands: inspect and repair the orders and dead letters of a stack.

They run the domain code of the Lambdas, on a stack in AWS or on the embedded AWS. `python -m ops --help` and
`docs/operations.md` describe them.
"""
