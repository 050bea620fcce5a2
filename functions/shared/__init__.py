"""The code that several functions use.

Imports point inwards: handlers -> shared -> shared.persistence -> shared.domain. `clock` imports
nothing, and all but the domain may import it.
"""

import logging

# Before any client of AWS is made. Lambda's runtime client sets the root logger to the function's application
# log level: at DEBUG, botocore would log session tokens, and the responses of Secrets Manager. Libraries log
# at WARNING; `observability` sets the level of this project's lines.
logging.getLogger().setLevel(logging.WARNING)
