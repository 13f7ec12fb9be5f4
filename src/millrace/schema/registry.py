"""The whole registry as one set of tables: import `metadata` from here and it is complete.

Source: REG-002, REG-010 to REG-054.
"""

from millrace.schema import catalogue, devices, operations, people, pipeline
from millrace.schema.columns import metadata

TABLES = (catalogue, devices, operations, pipeline, people)

__all__ = ["TABLES", "metadata"]
