"""All checks of one look: the machine, the configuration and what it names, and the endpoints where they are asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from evalsvc.app.checks import Check, of_configuration, of_machine, problem
from evalsvc.config import load
from evalsvc.errors import ConfigError, InputError


def look(
    config_path: Path | None, database: Path | None, environ: Mapping[str, str], *, models: Mapping[str, str] | None
) -> list[Check]:
    """Look at everything; a configuration that is wrong is a problem like others.

    Args:
        config_path: the configuration, else the one that is found.
        database: stands in place of the configuration's.
        environ: the variables of the process.
        models: asks every endpoint for one token, of these models by alias; None: asks nothing.

    Raises:
        InputError: ``models`` names an endpoint that is not there.
    """
    checks = [*of_machine()]
    try:
        config = load(config_path, environ)
    except ConfigError as error:
        return [*checks, problem("configuration", str(error), "mend it; what it names was not looked at")]
    if database is not None:
        config = replace(config, store=config.store.model_copy(update={"path": str(database)}))
    for alias in models or ():
        if alias not in config.endpoints:
            known = ", ".join(config.endpoints)
            raise InputError(f"no endpoint {alias[:80]!a} in the configuration; it has {known}", key="--model")
    checks += of_configuration(config, environ)
    if models is not None:
        from evalsvc.app.asking import ask  # noqa: PLC0415 - what asks is heavy, and seldom wanted

        checks += ask(config, models, environ)
    return checks
