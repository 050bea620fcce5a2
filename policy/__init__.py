"""The rules that a stack keeps to, checked in every preview and update, and by the tests.

`pulumi preview --policy-pack policy` runs them against what the stack is about to become.
"""
