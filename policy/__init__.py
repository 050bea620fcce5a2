"""The rules that a stack must follow, checked in every preview and update, and by the tests.

`pulumi preview --policy-pack policy` checks them against the planned resources.
"""
