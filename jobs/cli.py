"""The command line, and with it the composition root: the one place that starts jobs and serving.

firstclick demo | prepare | pretrain | evaluate | tune | serve | keys | models | recommend | benchmark
"""

from __future__ import annotations

import signal
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from jobs.benchmark import benchmark_command
from jobs.demo import demo
from jobs.evaluate import evaluate_command
from jobs.prepare import prepare_command
from jobs.pretrain import pretrain_command
from jobs.recommend import recommend_command
from jobs.terminal import console, run_app
from jobs.tune import tune_command
from serve_apps.commands import keys, models
from serve_apps.local import serving

app = typer.Typer(
    name="firstclick",
    help="Recommends well to people it has hardly seen.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"firstclick {version('firstclick')}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command("demo")
def demo_command(
    once: Annotated[bool, typer.Option("--once", help="Stop the server at the end.")] = False,
    folder: Annotated[Path, typer.Option(help="Where data, runs and artifacts go.")] = Path("runs/demo"),
    movielens: Annotated[
        Path | None, typer.Option(help="A folder with MovieLens-100k; else it is fetched.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Ray Train workers; 0: in this process.")] = 1,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the server.")] = 8000,
) -> None:
    """Meta-learn a prior on MovieLens-100k, compare it with baselines, serve it."""
    demo(folder, movielens, workers, port, serving, (lambda: None) if once else wait_for_stop)


app.command("prepare")(prepare_command)
app.command("pretrain")(pretrain_command)
app.command("evaluate")(evaluate_command)
app.command("tune")(tune_command)


@app.command("serve")
def serve_command(
    artifact: Annotated[Path | None, typer.Option(help="Folder of the artifact.")] = None,
    registry: Annotated[
        Path | None, typer.Option(help="A model registry instead: see 'firstclick models'.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    replicas: Annotated[int, typer.Option(min=1, help="Number of replicas.")] = 1,
    event_store: Annotated[
        str | None,
        typer.Option(help="A file or redis://... to keep events in; default: events.sqlite beside."),
    ] = None,
    api_keys: Annotated[
        Path | None, typer.Option(help="File of API keys: see 'firstclick keys'; default: none is asked for.")
    ] = None,
) -> None:
    """Serve recommendations over HTTP on this machine until stopped.

    On a cluster use: serve deploy serve_apps/config.yaml
    """
    beside = (artifact or registry or Path()).resolve().parent / "events.sqlite"
    options = {"num_replicas": replicas, "event_store": event_store or str(beside)}
    if registry is not None:
        options["registry"] = str(registry)
    if api_keys is not None:
        options["api_keys"] = str(api_keys)
    else:
        console.print(f"no API keys: whoever reaches {host}:{port} may use all of it")
    with serving(artifact, host, port, **options) as server:
        console.print(
            f"serving on [bold]{server.url}[/], documentation at {server.url}/docs; Ctrl-C stops it"
        )
        wait_for_stop()


app.add_typer(keys, name="keys")
app.add_typer(models, name="models")
app.command("recommend")(recommend_command)
app.command("benchmark")(benchmark_command)


def wait_for_stop() -> None:
    """Return on Ctrl-C or a polite kill."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        signal.pause()
    except KeyboardInterrupt:
        console.print("stopping")


def main() -> None:
    run_app(app)


if __name__ == "__main__":
    main()
