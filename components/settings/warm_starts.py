"""Settings of SnapStart and provisioned concurrency, for functions behind the API."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from components.settings.functions import FunctionSettings
from components.settings.loader import SettingsError, Values, as_integer, not_allowed

_BEHIND_API: Final = "_api"


@dataclass(frozen=True, kw_only=True)
class WarmStartSettings:
    """The functions that start from a snapshot, and the number of environments that are kept for others."""

    snap_start: frozenset[str]
    provisioned_concurrency: Mapping[str, int]

    @property
    def functions(self) -> frozenset[str]:
        """The functions that publish versions."""
        return self.snap_start.union(self.provisioned_concurrency)

    @classmethod
    def read(
        cls, values: Values, settings: FunctionSettings, functions: Collection[str]
    ) -> "WarmStartSettings":
        """Reads the keys. They may hold those of `functions` that are behind the API."""
        names = [name for name in functions if name.endswith(_BEHIND_API)]
        expected = f"names of functions behind the API: {', '.join(names)}"
        snap_start, provisioned = values.array("snapStart", least=0), {}
        for name in snap_start:
            if name not in names:
                raise not_allowed("snapStart", name, expected)
        for name, amount in values.mapping("provisionedConcurrency").items():
            key = f"provisionedConcurrency.{name}"
            if name not in names:
                raise not_allowed("provisionedConcurrency", name, expected)
            # AWS refuses both for one function, and more environments than may run.
            if name in snap_start:
                raise SettingsError(f"{key}: {name} has snapStart too. Use one of them.")
            most = settings.reserved_concurrency.get(name)
            provisioned[name] = as_integer(key, amount, 1)
            if most is not None and provisioned[name] > most:
                raise SettingsError(
                    f"{key}: {provisioned[name]} is too high. Use at most {most}, its reservedConcurrency."
                )
        return cls(snap_start=frozenset(snap_start), provisioned_concurrency=provisioned)
