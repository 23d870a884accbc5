"""``evalsvc serve``: the daemon."""

from __future__ import annotations

from pathlib import Path

import click

_PATH = click.Path(path_type=Path)


@click.command("serve")
@click.option("--config", "config_path", type=_PATH, help="Configuration [EVALSVC_CONFIG, ./config.toml, defaults].")
@click.option("--db", type=_PATH, help="Database [store.path of the configuration, evalsvc.db].")
@click.option("--host", help="Address to listen on [server.host, 127.0.0.1].")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one [server.port, 8321].")
def command(config_path: Path | None, db: Path | None, host: str | None, port: int | None) -> None:
    """Take jobs over HTTP and run them, several at a time, until SIGTERM or SIGINT.

    What a daemon had in hand when it ended, or was killed, the next one goes on with. Told to stop, it gives requests
    in flight some seconds to end (server.grace_s) and exits 0; a second signal ends it at once.
    """
    import anyio

    from evalsvc.app.process import manage_memory
    from evalsvc.app.serve import serve, settings_of

    manage_memory()
    config = settings_of(config_path, database=db, host=host, port=port)
    anyio.run(serve, config, click.echo, backend_options={"use_uvloop": True})
