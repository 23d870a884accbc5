"""Reads data sets into cases. A format is one new module here with one decorator; importing the room finds them all."""

import pkgutil
from importlib import import_module

from evalsvc.suites.base import DEFAULT_MAX_ROW_BYTES, FORMATS, DataSet, Format
from evalsvc.suites.reading import detect, read_suite

__all__ = ["DEFAULT_MAX_ROW_BYTES", "FORMATS", "DataSet", "Format", "detect", "read_suite"]

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
