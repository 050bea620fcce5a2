"""What several functions use.

Imports point inwards: handlers -> shared -> shared.persistence -> shared.domain.
"""

import logging

# Before any client of AWS is made. Lambda's runtime client sets the root logger to the function's application
# log level: at DEBUG, botocore would log session tokens, and the answers of Secrets Manager. Libraries only
# warn; the level of our own lines is set in `observability`.
logging.getLogger().setLevel(logging.WARNING)
