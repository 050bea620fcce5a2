"""The code that runs in AWS Lambda: one folder per function. `shared/` has the code of several functions."""

import gc

# A start makes a hundred thousand permanent objects. With Python's threshold of 700 the garbage collector
# scans them repeatedly and finds nothing: a tenth of a cold start, and a part of every call.
gc.set_threshold(50_000, 20, 20)
