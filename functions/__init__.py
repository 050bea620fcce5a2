"""The code that runs in AWS Lambda: one folder is one function, `shared/` is what they have in common."""

import gc

# A start makes a hundred thousand objects that stay for good. With Python's own threshold of 700 the garbage
# collector goes through them again and again and finds nothing: a tenth of a cold start, some of every call.
gc.set_threshold(50_000, 20, 20)
