"""`punctum serve`: many cameras in one service."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from ..text.display import counted
from .terminal import echo, say


def serve(
    site: Annotated[Path, typer.Argument(metavar="SITE", help="Configuration of the site, YAML.")],
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Check the configuration, its bundles and its secrets, and end. Sources, brokers and webhooks are not "
            "contacted.",
        ),
    ] = False,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log as JSON Lines.")] = False,
) -> None:
    """Run many cameras as one service: events to files, brokers and a page, and nothing lost at a restart.

    SIGHUP reads the configuration again, and restarts only what changed. SIGTERM and Ctrl-C end the service. The next
    start continues where it was.

    Example: punctum serve site.yaml
    """
    from ..site.config.load import load_site
    from ..site.run import need_site, serve_site

    need_site()
    with _every_problem(site):
        loaded = load_site(site)
    if check:
        from ..site.config.check import check_site

        for warning in loaded.warnings:
            say(f"warning: {warning}")
        with _every_problem(site):
            bundles = check_site(loaded, lambda text: say(f"warning: {text}"))
        for bundle in bundles:
            kind = "video" if bundle.video else "features"
            echo(f"bundle {bundle.name}: {bundle.id}, {kind}, classes {', '.join(bundle.labels)}")
        echo(f"{site}: valid, {counted(len(loaded.config.cameras), 'camera')}")
        echo("not checked: whether sources, brokers and webhooks can be reached")
        return
    serve_site(loaded, site, ready=lambda address: say(f"serving {site}: {address}"), log_json=log_json)


@contextlib.contextmanager
def _every_problem(site: Path) -> Iterator[None]:
    """Print all problems of a configuration in the order of the file. One alone is the error itself."""
    from ..errors import InputError
    from ..site.config.problems import SiteConfigError

    try:
        yield
    except SiteConfigError as error:
        if len(error.problems) < 2:
            raise
        for problem in error.problems:
            say(f"problem: {problem}")
        given = f"{site} has {counted(error.count, 'problem')}"
        raise InputError("site-config", given, next_step="correct the lines above, and check it again") from None
