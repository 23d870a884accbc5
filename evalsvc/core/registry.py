"""Named plug-ins: one decorator to add one, one lookup whose error lists what is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from evalsvc.core.nearest import did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """Plug-ins of one sort by name.

    Args:
        sort: what they are, in one word, for messages ("scorer").
    """

    def __init__(self, sort: str) -> None:
        self.sort = sort
        self._known: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that files a plug-in under ``name``. Raises ValueError when the name is taken."""

        def file(plugin: T) -> T:
            if name in self._known:
                raise ValueError(f"{self.sort} {name!r} is registered twice")
            self._known[name] = plugin
            return plugin

        return file

    def __getitem__(self, name: str) -> T:
        """The plug-in of that name. Raises LookupError that lists the known ones."""
        try:
            return self._known[name]
        except KeyError:
            hint = did_you_mean(name, self._known)
            raise LookupError(f"unknown {self.sort} {name!r}; {hint}known: {', '.join(sorted(self._known))}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._known))

    def __contains__(self, name: object) -> bool:
        return name in self._known
