"""The review queue: ``recognizer review`` serves it to a team, ``report`` writes it to a file."""

from __future__ import annotations

import secrets
import signal
import socket
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from recognizer._files import require_page
from recognizer.cli import options
from recognizer.cli.options import require_extra
from recognizer.cli.progress import say, show_progress
from recognizer.errors import UsageError

DEFAULT_PORT = 8420
GRACE_SECONDS = 5  # for answers that are under way when the server is stopped


def review_command(
    scan: options.ScanArgument,
    outcomes: options.OutcomesOption = None,
    host: Annotated[
        str, Option(help="Address to listen on; any but this machine's own needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, Option(help="The port; 0 for any.", min=0, max=65535)] = DEFAULT_PORT,
    token: Annotated[
        str | None,
        Option(
            envvar="RECOGNIZER_REVIEW_TOKEN",
            help="What reviewers sign in with, at least 16 characters.",
            show_default="one is made if --host needs it",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None, Option(help="A host name in the address that browsers open; repeatable.")
    ] = None,
    second_review: Annotated[
        float,
        Option(help="Share of decided listings that another reviewer decides, too.", min=0, max=1),
    ] = 0.0,
    bundle: options.RowsBundleOption = None,
) -> None:
    """Serve the review queue of a scan to a team, who work through it in the browser.

    What reviewers say is stored at once. The server can be stopped and started at any time, and new
    rows of a scan appear by themselves. The actions of its policy are shown with the listings.
    """
    from recognizer.model.bundle import bundles_behind

    require_extra("desk", "starlette", "uvicorn", "itsdangerous")
    import uvicorn

    from recognizer.desk.app import make_app
    from recognizer.desk.photos import Photos
    from recognizer.desk.queue import Queue
    from recognizer.desk.security import MIN_TOKEN, is_loopback

    if token is not None and len(token) < MIN_TOKEN:
        raise UsageError(f"--token: at least {MIN_TOKEN} characters")
    is_local = is_loopback(host)
    names = (host, socket.gethostname(), *(allow_host or []))
    if makes_token := not is_local and token is None:
        token = secrets.token_urlsafe(24)
    with show_progress(f"Opening {scan}"):
        bundles = bundles_behind(bundle)
        opened = Queue(scan, outcomes, second_review=second_review)
    with (
        opened as queue,
        Photos(queue.file, bundles) as photos,
        _listening(host, port) as listening,
    ):
        port = listening.getsockname()[1]

        def stop() -> None:
            server.should_exit = True

        app = make_app(
            queue,
            photos,
            secret=queue.secret(secrets.token_urlsafe(24)),
            port=port,
            token=token,
            hosts=None if is_local else {name.lower() for name in names},
            stop=stop,
        )
        config = uvicorn.Config(app, log_level="warning", server_header=False, proxy_headers=False)
        config.timeout_graceful_shutdown = GRACE_SECONDS
        server = uvicorn.Server(config)
        shown = names[1] if host in {"0.0.0.0", "::"} else host  # noqa: S104 - a comparison
        shown = f"[{shown}]" if ":" in shown else shown
        typer.echo(f"Reviewers open http://{shown}:{port}/ (Ctrl-C stops)")
        if makes_token:  # one that is given is a secret, and stays out of logs
            typer.echo(f"Token: {token}")
        if not is_local:
            say("The connection is not encrypted: use a trusted network, or a proxy with TLS")
        # uvicorn sends itself again what has stopped it: the files are to be closed first.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        server.run(sockets=[listening])
        queue.check()


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise UsageError(
            f"{host}:{port}: {error.strerror or error}; name another --port or --host"
        ) from error


def report_command(
    scan: options.ScanArgument,
    output: Annotated[Path, options.output_option("The HTML file to write.")] = Path("report.html"),
    outcomes: options.OutcomesOption = None,
    bundle: options.RowsBundleOption = None,
    title: options.TitleOption = None,
    limit: Annotated[int, Option(help="Leads on the page: the first of the queue.", min=1)] = 1000,
) -> None:
    """Write the leads and failures of a scan as one HTML page, to read and to hand on.

    The page works offline. Verdicts are given in recognizer review. The page holds thumbnails of
    the images: keep it as confidential as they are.
    """
    from recognizer.desk.page import write_report
    from recognizer.model.bundle import bundles_behind

    require_page(output)
    with show_progress(f"Writing {output}"):
        models = bundles_behind(bundle)
        write_report(scan, output, models, outcomes=outcomes, title=title, limit=limit)
    typer.echo(f"Wrote {output}")
