"""The code that runs in AWS Lambda: one folder is one function, `shared/` is what they have in common."""
