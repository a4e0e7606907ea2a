"""The command line, and with it the composition root: the one place that starts jobs and serving.

firstclick demo | inspect | prepare | pretrain | evaluate | report | tune | serve | keys | models
| recommend | benchmark

What a command does is imported when it runs: help and completion take no seconds.
"""

from __future__ import annotations

import signal
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from jobs.commands import benchmark, evaluate, inspect, prepare, pretrain, recommend, report, tune
from jobs.terminal import Quiet, console, examples, hushed, run_app
from serve_apps.commands import keys, models

app = typer.Typer(
    name="firstclick",
    help="Recommends well to people it has hardly seen.",
    epilog=examples(
        "firstclick demo --once",
        "firstclick inspect my_tables/",
        "firstclick --install-completion    (commands, options and configuration keys in your shell)",
    ),
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


@app.command("demo", epilog=examples("firstclick demo", "firstclick demo --once --workers 0"))
def demo_command(
    once: Annotated[bool, typer.Option("--once", help="Stop the server at the end.")] = False,
    folder: Annotated[Path, typer.Option(help="Where data, runs and artifacts go.")] = Path("runs/demo"),
    movielens: Annotated[
        Path | None, typer.Option(help="A folder with MovieLens-100k; else it is fetched.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Ray Train workers; 0: in this process.")] = 1,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the server.")] = 8000,
    quiet: Quiet = False,
) -> None:
    """Meta-learn a prior on MovieLens-100k, compare it with baselines, serve it."""
    from jobs.demo import demo
    from serve_apps.local import serving

    with hushed(quiet):
        demo(folder, movielens, workers, port, serving, (lambda: None) if once else wait_for_stop)


app.command("inspect", epilog=inspect.EXAMPLES)(inspect.inspect_command)
app.command("prepare", epilog=prepare.EXAMPLES)(prepare.prepare_command)
app.command("pretrain", epilog=pretrain.EXAMPLES)(pretrain.pretrain_command)
app.command("evaluate", epilog=evaluate.EXAMPLES)(evaluate.evaluate_command)
app.command("report", epilog=report.EXAMPLES)(report.report_command)
app.command("tune", epilog=tune.EXAMPLES)(tune.tune_command)


@app.command(
    "serve",
    epilog=examples(
        "firstclick serve --artifact artifact --port 8000",
        "firstclick serve --registry models --api-keys keys.json",
    ),
)
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
    approximate_above: Annotated[
        int | None,
        typer.Option(
            min=0, help="Search larger catalogues through an index (extra 'index'); default: always exactly."
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Serve recommendations over HTTP on this machine until stopped.

    On a cluster use: serve deploy serve_apps/config.yaml
    """
    from serve_apps.local import serving

    beside = (artifact or registry or Path()).resolve().parent / "events.sqlite"
    options = {
        "num_replicas": replicas,
        "event_store": event_store or str(beside),
        "approximate_above": approximate_above,
    }
    if registry is not None:
        options["registry"] = str(registry)
    if api_keys is not None:
        options["api_keys"] = str(api_keys)
    elif not quiet:
        console.print(f"no API keys: whoever reaches {host}:{port} may use all of it")
    with hushed(quiet), serving(artifact, host, port, **options) as server:
        console.print(
            f"serving on [bold]{server.url}[/], documentation at {server.url}/docs; Ctrl-C stops it"
        )
        wait_for_stop()


app.add_typer(keys, name="keys", epilog=examples("firstclick keys create shop --scope read --file keys.json"))
app.add_typer(
    models,
    name="models",
    epilog=examples(
        "firstclick models add artifact --registry models",
        "firstclick models promote VERSION --registry models",
    ),
)
app.command("recommend", epilog=recommend.EXAMPLES)(recommend.recommend_command)
app.command("benchmark", epilog=benchmark.EXAMPLES)(benchmark.benchmark_command)


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
