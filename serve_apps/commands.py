"""``firstclick keys`` and ``firstclick models``: who may call the server, and which model answers.

Each works on files that a running server watches; nothing needs to be restarted. Knows nothing of Ray or
HTTP.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from serve_apps.security.api_keys import Scope, create_key, read_keys, revoke_key

if TYPE_CHECKING:
    from serve_apps.model_registry import ModelRegistry
    from serve_apps.roll_out import RollOut

console = Console()


def _example(line: str) -> str:
    """What stands below a command's help."""
    return f"[bold]Example[/]\n\n  {line}"


keys = typer.Typer(help="API keys: who may call the server.", no_args_is_help=True, rich_markup_mode="rich")
models = typer.Typer(
    help="The model registry: which model answers whom.", no_args_is_help=True, rich_markup_mode="rich"
)

KeyFile = Annotated[Path, typer.Option("--file", help="The file that the server's option api_keys names.")]
Registry = Annotated[Path, typer.Option("--registry", help="Folder of the registry.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Version = Annotated[str, typer.Argument(help="A version that 'firstclick models list' shows.")]


@keys.command("create", epilog=_example("firstclick keys create shop --scope read --file keys.json"))
def create(
    name: Annotated[str, typer.Argument(help="Who will use it; several keys may have one name.")],
    file: KeyFile,
    scope: Annotated[Scope, typer.Option(help="read: recommendations, events in; admin: all.")] = Scope.READ,
) -> None:
    """Make a key and print it. It is shown once; the file keeps a hash.

    To rotate keys: make a second one, move callers over to it, revoke the first.
    """
    key, text = create_key(file, name, scope)
    typer.echo(text)
    typer.echo(f"key {key.id}, scope {key.scope}, for {key.name}; it is not shown again", err=True)


@keys.command("list", epilog=_example("firstclick keys list --file keys.json"))
def list_keys(file: KeyFile, as_json: AsJson = False) -> None:
    """Show the keys, without their secrets."""
    if as_json:
        shown = ("id", "name", "scope", "created_at")
        typer.echo(json.dumps([{field: getattr(key, field) for field in shown} for key in read_keys(file)]))
        return
    table = Table("id", "name", "scope", "created")
    for key in read_keys(file):
        table.add_row(key.id, escape(key.name), key.scope, key.created_at)
    console.print(table)


@keys.command("revoke", epilog=_example("firstclick keys revoke d2ca380a --file keys.json"))
def revoke(key_id: Annotated[str, typer.Argument(help="Id of the key.")], file: KeyFile) -> None:
    """Take a key back; servers refuse it within a second."""
    key = revoke_key(file, key_id)
    console.print(f"revoked {key.id} of {escape(key.name)}")


@models.command("add", epilog=_example("firstclick models add artifact --registry models"))
def add(artifact: Annotated[Path, typer.Argument(help="Folder of an artifact.")], registry: Registry) -> None:
    """Copy an artifact into the registry, if it is whole, and print its version. It answers nobody yet."""
    typer.echo(_registry(registry).add(artifact))
    typer.echo(f"added to {registry}; it answers nobody before it is promoted", err=True)


@models.command("list", epilog=_example("firstclick models list --registry models"))
def list_models(registry: Registry, as_json: AsJson = False) -> None:
    """Show the versions and how each is used."""
    in_use = _registry(registry).roll_out()
    rows = [
        (info.version, str(info.manifest.get("created_at", "")), _use(info.version, in_use))
        for info in _registry(registry).versions()
    ]
    names = ("version", "made", "use")
    if as_json:
        typer.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows]))
    elif not rows:
        typer.echo(f"no version in {registry}", err=True)
    else:
        table = Table(*names)
        for row in rows:
            table.add_row(*row)
        console.print(table)


@models.command("promote", epilog=_example("firstclick models promote 1e43d9a52276 --registry models"))
def promote(version: Version, registry: Registry) -> None:
    """Let a version answer everyone; running servers change over in about a second, without a pause."""
    _show(_registry(registry).promote(version))


@models.command("rollback", epilog=_example("firstclick models rollback --registry models"))
def rollback(registry: Registry) -> None:
    """Let the version answer that was live before; again goes one further back."""
    _show(_registry(registry).rollback())


@models.command(
    "canary", epilog=_example("firstclick models canary 1e43d9a52276 --share 0.05 --registry models")
)
def canary(
    registry: Registry,
    version: Annotated[str | None, typer.Argument(help="The version; without one the canary ends.")] = None,
    share: Annotated[float, typer.Option(min=0, max=1, help="Share of the people that it answers.")] = 0.05,
) -> None:
    """Let a version answer a share of the people, always the same ones."""
    _show(_registry(registry).set_canary(version, share))


@models.command("shadow", epilog=_example("firstclick models shadow 1e43d9a52276 --registry models"))
def shadow(
    registry: Registry,
    version: Annotated[str | None, typer.Argument(help="The version; without one the shadow ends.")] = None,
) -> None:
    """Let a version rank for real requests, answer nobody, and be compared: GET /v1/models has the result."""
    _show(_registry(registry).set_shadow(version))


@models.command("remove", epilog=_example("firstclick models remove 1e43d9a52276 --registry models"))
def remove(version: Version, registry: Registry) -> None:
    """Delete a version that is not in use."""
    _registry(registry).remove(version)
    console.print(f"removed {version}")


def _registry(folder: Path) -> ModelRegistry:
    from serve_apps.model_registry import ModelRegistry  # brings torch: help does without

    return ModelRegistry(folder)


def _show(roll_out: RollOut) -> None:
    for version in roll_out.versions():
        console.print(f"{version}: {_use(version, roll_out)}")


def _use(version: str, in_use: RollOut | None) -> str:
    if in_use is None:
        return ""
    if version == in_use.live:
        return "live"
    if in_use.canary and version == in_use.canary.version:
        return f"canary, {in_use.canary.share:.2%} of people"
    return "shadow" if version == in_use.shadow else ""
