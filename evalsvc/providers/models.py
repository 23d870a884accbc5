"""Which models an endpoint says it has: ``GET /models`` of the OpenAI API."""

from __future__ import annotations

import json

import aiohttp

from evalsvc.errors import AuthenticationFailed, Garbled, ModelNotFound, Overloaded, ProviderError, RequestRejected
from evalsvc.providers.aiohttp_transport import error_of
from evalsvc.providers.transport import too_big

_MOST_BYTES = 8 * 2**20


async def list_models(base_url: str, api_key: str | None, *, timeout_s: float) -> list[str]:
    """The ids of an endpoint's models, as it orders them.

    Raises `ProviderError`; no text of the server stands in it, for that may repeat the key.
    """
    headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False) as session,
            session.get(f"{base_url}/models", headers=headers, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise _refused(response.status)
            body = b""
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _MOST_BYTES:
                    raise too_big(_MOST_BYTES)
            return _ids(body)
    except (aiohttp.ClientError, OSError) as error:
        raise error_of(error) from error


def _refused(status: int) -> ProviderError:
    if status in {401, 403}:
        return AuthenticationFailed("its key is refused", status=status)
    if status == 404:
        return ModelNotFound("it lists no models", status=status)
    if status >= 500:
        return Overloaded("the server failed", status=status)
    return RequestRejected("the list of models was refused", status=status)


def _ids(body: bytes) -> list[str]:
    try:
        found = json.loads(body)["data"]
        return [str(each["id"]) for each in found]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise Garbled("the list of models is none", status=200) from None
