"""One question to each endpoint: is it there, does it take the key, does a model of it answer?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import anyio

from evalsvc.app.checks import Check, ok, problem, warning
from evalsvc.app.reading import inert, run
from evalsvc.config import Config, api_key, known_secrets
from evalsvc.core.records import Arm, Case, Completion, Request
from evalsvc.errors import AuthenticationFailed, ConfigError, PermanentError, ProviderError, RequestRejected
from evalsvc.providers.factory import make_provider
from evalsvc.providers.models import list_models
from evalsvc.providers.secrets import Secrets
from evalsvc.providers.settings import EndpointSettings

_TIMEOUT_S = 30.0
_MOST_BYTES = 2**20
#: Servers call the same limit by the one name or the other.
_ONE_TOKEN = ({"max_tokens": 1}, {"max_completion_tokens": 1})


def ask(config: Config, models: Mapping[str, str], environ: Mapping[str, str]) -> list[Check]:
    """Ask every endpoint that has a URL for one token, all at once.

    Args:
        config: the endpoints; one without the key it should have is left out.
        models: the model to ask, by alias; where none is named, the first the endpoint lists.
        environ: where keys may be.
    """
    checks: dict[str, Check] = {}
    secrets = known_secrets(config, environ)

    async def one(alias: str, endpoint: EndpointSettings, key: str | None) -> None:
        checks[alias] = await _asked(alias, endpoint, key, models.get(alias), secrets)

    async def everyone() -> None:
        async with anyio.create_task_group() as group:
            for alias, endpoint in config.endpoints.items():
                try:
                    key = api_key(alias, endpoint, environ)
                except ConfigError:
                    continue
                if endpoint.base_url is not None:
                    group.start_soon(one, alias, endpoint, key)

    run(everyone)
    return [checks[alias] for alias in config.endpoints if alias in checks]


async def _asked(
    alias: str, endpoint: EndpointSettings, key: str | None, model: str | None, secrets: Collection[str]
) -> Check:
    name, url = f"endpoint {alias}", endpoint.base_url or ""
    name_one = f"name a model of it: --model {alias}=MODEL"
    named = model is not None
    try:
        if model is None:
            found = await list_models(url, key, timeout_s=min(_TIMEOUT_S, endpoint.timeout_s))
            if not found:
                return warning(name, f"{url} answers and lists no model", name_one)
            model = Secrets([*secrets, key or ""]).text(found[0])
        completion = await _one_token(endpoint, key, model, secrets)
    except ProviderError as error:
        said = f"{url}{f', {inert(model)}' if model else ''}: {inert(str(error))[:300]}"
        if isinstance(error, AuthenticationFailed) or not isinstance(error, PermanentError):
            return problem(name, said, "see that its base_url is right, that it runs, and that its key is good")
        return problem(name, said, "see which models it has") if named else warning(name, said, name_one)
    return ok(name, f"{inert(model)} answered in {completion.latency_s:.2f} s")


async def _one_token(endpoint: EndpointSettings, key: str | None, model: str, secrets: Collection[str]) -> Completion:
    provider = make_provider(
        base_url=endpoint.base_url or "",
        api_key=key,
        connections=1,
        timeout_s=min(_TIMEOUT_S, endpoint.timeout_s),
        max_bytes=_MOST_BYTES,
        azure_api_version=endpoint.azure_api_version,
        secrets=secrets,
    )
    messages = [{"role": "user", "content": "Hi"}]
    case = Case(suite="doctor", id="doctor", category="", input="Hi")
    request = Request(
        job="doctor",
        case=case,
        arm=Arm.BASELINE,
        trial=0,
        step="answer",
        endpoint="",
        model=model,
        messages=messages,
        params=_ONE_TOKEN[0],
    )
    try:
        try:
            return await provider.complete(request)
        except RequestRejected:
            return await provider.complete(replace(request, params=_ONE_TOKEN[1]))
    finally:
        await provider.aclose()
