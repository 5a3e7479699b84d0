"""``recognizer review``: the review queue for one team, as a small local server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer.cli.options import (
    AllowHttpOption,
    JournalsArgument,
    OptionalOutcomesOption,
    OptionalPolicyOption,
    RowsBundleOption,
    bundles_behind,
    require_extra,
)
from recognizer.errors import PolicyError, UsageError

if TYPE_CHECKING:
    from recognizer.policy import Decision

DEFAULT_PORT = 8420


def command(
    journals: JournalsArgument,
    outcomes: OptionalOutcomesOption = None,
    index: Annotated[
        Path | None,
        typer.Option(
            "--index",
            help="The file that keeps the order of the queue; it can be removed at any time.",
            show_default="JOURNAL.queue beside the first journal",
        ),
    ] = None,
    policy: OptionalPolicyOption = None,
    time_limit: Annotated[
        list[str] | None,
        typer.Option(
            "--time-limit",
            metavar="LEVEL=HOURS",
            help="Hours after which a listing of a level is late and comes first, as priority=24; "
            "instead of the policy's. May be repeated.",
        ),
    ] = None,
    lock_minutes: Annotated[
        float,
        typer.Option(
            help="Minutes after which a listing goes back to the queue if nothing was decided.",
            min=1,
        ),
    ] = 10,
    host: Annotated[
        str,
        typer.Option(
            help="The address to listen on. Anything but this machine's own needs a token: one is "
            "made and printed if none is given."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="The port to listen on; 0 for any.", min=0, max=65535)
    ] = DEFAULT_PORT,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="RECOGNIZER_REVIEW_TOKEN",
            help="What reviewers sign in with, at least 16 characters.",
            show_default=False,
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            help="A name by which browsers call this server, with --host. May be given several "
            "times.",
        ),
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="Serve HTTPS with this certificate (PEM), and --key.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="The private key of --certificate (PEM).")
    ] = None,
    allow_http: AllowHttpOption = False,
    bundle: RowsBundleOption = None,
) -> None:
    """Work through the leads of a scan as a team: a queue in the browser, served from here.

    With --policy, its actions are shown with the listings, and its time limits hold.
    Of an image in several journals the last row counts. What reviewers say is stored at once, in
    JOURNAL.outcomes beside the first journal unless --outcomes names another file. The server can
    be stopped and started at any time, and new rows of the journals appear by themselves.
    """
    require_extra("review", "starlette", "uvicorn")
    import socket

    import uvicorn
    from rich.console import Console

    from recognizer._policy_file import load_policy
    from recognizer.cli.originals import read_original
    from recognizer.cli.progress import show_progress
    from recognizer.review.outcomes import OutcomeStore
    from recognizer.review.server.app import Parts, make_app
    from recognizer.review.server.index import QueueIndex
    from recognizer.review.server.photos import Photos
    from recognizer.review.server.queue import Queue
    from recognizer.review.server.security import Sessions, is_loopback, new_secret

    if (certificate is None) != (key is None):
        raise UsageError("--certificate and --key: give both, or neither")
    is_local = is_loopback(host)
    names = (host, socket.gethostname())
    if not is_local and token is None:
        token = new_secret()
    given = _time_limits(time_limit or [])
    bundles = bundles_behind(bundle)
    rules = None if policy is None else load_policy(policy, bundles[0].taxonomy)
    limits = {**(rules.time_limits if rules else {}), **given}
    console = Console(stderr=True)
    first = journals[0]
    with (
        OutcomeStore(outcomes or Path(f"{first}.outcomes"), create=True) as store,
        QueueIndex(index or Path(f"{first}.queue"), journals, store, bundles) as queue_index,
    ):
        with show_progress(console) as report:
            queue_index.update(report)
        photos = Photos(lambda row: read_original(row, allow_http=allow_http), journals, bundles)
        app = make_app(
            Parts(
                index=queue_index,
                queue=Queue(queue_index, hold_seconds=60 * lock_minutes, time_limits=limits),
                photos=photos,
                sessions=Sessions(queue_index.secret(new_secret), token),
                bundles=bundles,
                policy=rules,
                hosts=None if is_local else {n.lower() for n in (*names, *(allow_host or []))},
                is_encrypted=certificate is not None,
            )
        )
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
        server = uvicorn.Server(config)
        listening = config.bind_socket()
        scheme = "http" if certificate is None else "https"
        shown = names[1] if host in {"0.0.0.0", "::"} else host  # noqa: S104 - a comparison
        shown = f"[{shown}]" if ":" in shown else shown
        typer.echo(
            f"Reviewers open {scheme}://{shown}:{listening.getsockname()[1]}/ (Ctrl-C stops)"
        )
        if token is not None:
            typer.echo(f"Token: {token}")
        if not is_local and certificate is None:
            typer.echo(
                "The connection is not encrypted: use a trusted network, or give --certificate",
                err=True,
            )
        try:
            server.run(sockets=[listening])
        finally:
            photos.close()


def _time_limits(given: list[str]) -> dict[Decision, float]:
    from recognizer.policy import Decision, Policy

    limits: dict[Decision, float] = {}
    for text in given:
        level, _, hours = text.partition("=")
        try:
            limits |= Policy(time_limits={Decision(level): float(hours)}).time_limits
        except (PolicyError, ValueError) as error:
            raise UsageError(
                f"--time-limit {text}: write LEVEL=HOURS, with priority, review or unscored, and "
                "more than 0 hours"
            ) from error
    return limits
