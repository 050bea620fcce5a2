"""What several functions use.

Imports point inwards: handlers -> shared -> shared.persistence -> shared.domain.
"""
