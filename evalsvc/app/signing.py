"""The key that signs decision records, and what it signed."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalsvc.core.settings import SigningSettings
from evalsvc.core.view import ReportView
from evalsvc.errors import ConfigError

if TYPE_CHECKING:
    from evalsvc.core.dsse import Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedView(ReportView):
    """What a report shows, and the signed envelope of its record, where a key was configured."""

    envelope: Mapping[str, Any] | None

    @classmethod
    def of(cls, view: ReportView, envelope: Mapping[str, Any] | None) -> SignedView:
        """The view with its envelope."""
        return cls(**{field.name: getattr(view, field.name) for field in fields(view)}, envelope=envelope)


_KEY = "signing.key_file"
#: No key is longer.
_MOST_BYTES = 64 * 1024


def signer_of(settings: SigningSettings) -> tuple[Signer | None, list[str]]:
    """The key of the configuration, None where there is none, and what the record has to say of it.

    Raises:
        ConfigError: the file cannot be read or holds no usable key. The message repeats nothing of what it holds.
    """
    if settings.key_file is None:
        return None, []
    from evalsvc.core.dsse import Signer  # noqa: PLC0415 - only who signs pays for the import

    path = Path(settings.key_file)
    try:
        mode = path.stat().st_mode
        with path.open("rb") as file:
            signer = Signer.from_pem(file.read(_MOST_BYTES))
    except OSError as error:
        raise ConfigError(f"cannot read the key in {path}: {error.strerror}", key=_KEY) from None
    except ValueError as error:
        raise ConfigError(f"{path} {error}", key=_KEY) from None
    return signer, _exposed(mode)


def _exposed(mode: int) -> list[str]:
    """A warning where others can read the key: whoever did may have signed."""
    if not mode & (stat.S_IROTH | stat.S_IWOTH):
        return []
    said = (
        "the file of the signing key can be read by every user of this machine: the signature proves less (chmod 600)"
    )
    return [said]
