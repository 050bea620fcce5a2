"""Serves the rules to the Pulumi engine, until the engine ends this process.

`PolicyPack(...)` does not return, so nothing may follow it.
"""

import sys
from pathlib import Path

from pulumi_policy import EnforcementLevel, PolicyPack

# The engine starts this file with `policy/` as the first place for imports; the rules are `policy.rules`.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from policy.rules import RULES

PolicyPack("orderflow", list(RULES), enforcement_level=EnforcementLevel.MANDATORY)
