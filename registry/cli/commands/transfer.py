"""Between lakes: copy, push, pull and clone datasets."""

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli.completion import complete_addresses
from registry.cli.options import Dataset, Json, RefArgument, connected
from registry.cli.output import emit, size_text
from registry.cli.watch import watching
from registry.errors import InvalidInputError, NotFoundError
from registry.lake.names import MODELS

if TYPE_CHECKING:
    from registry.lake import Lake
    from registry.lake.transfer import Part, Transferred

__all__ = ["register"]

_SHOWN = 6

Branches = Annotated[
    list[str] | None,
    typer.Option(
        "--branch",
        help="A branch that travels as well, such as draft/anna. Repeatable.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("copy")(copy)
    app.command("push")(push)
    app.command("pull")(pull)
    app.command("clone")(clone)


def copy(
    ref: RefArgument,
    to: Annotated[
        str,
        typer.Option(
            help="Address of the other lake: a folder, file:///… or lakefs://….",
            show_default=False,
            autocompletion=complete_addresses,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Bring a dataset to another lake, up to a version, with its history and tags."""
    from registry.catalog.ref import Ref
    from registry.lake.transfer import copy as bring

    asked, registry = Ref.parse(ref), connected()
    with watching() as progress:
        gone = bring(registry.lake, asked.dataset, to=_other(to), at=asked.at, progress=progress)
    _say(gone)


def push(
    dataset: Dataset,
    to: Annotated[
        str | None,
        typer.Option(
            help="Address of the other lake; by default where the dataset came from.",
            show_default=False,
            autocompletion=complete_addresses,
        ),
    ] = None,
    branch: Branches = None,
    as_json: Json = False,
) -> None:
    """Send another lake what it lacks of a dataset: main, versions, and what belongs to them."""
    from registry.lake.transfer import push as send

    lake = connected().lake
    other = _other(_address(lake, dataset, to, "--to"))
    with watching() as progress:
        gone = send(lake, dataset, to=other, branches=branch or (), progress=progress)
    _say(gone)


def pull(
    dataset: Dataset,
    origin: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Address of the other lake; by default where the dataset came from.",
            show_default=False,
            autocompletion=complete_addresses,
        ),
    ] = None,
    branch: Branches = None,
    aside: Annotated[
        bool,
        typer.Option(
            "--aside", help="Bring branches that have diverged as theirs/…, to be merged."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Fetch what this lake lacks of a dataset: main, versions, and what belongs to them."""
    from registry.catalog.forgetting.purging import apply, purges
    from registry.lake.transfer import pull as fetch

    lake = connected().lake
    other = _origin(_address(lake, dataset, origin, "--from"), dataset)
    with watching() as progress:
        forgotten = purges(other.repository(dataset))
        gone = apply(lake.repository(dataset), forgotten, progress=progress)
        come = fetch(
            lake, dataset, origin=other, branches=branch or (), aside=aside, progress=progress
        )
    for one in gone:
        typer.echo(f"purged there, so here too: {one.to_text()}", err=True)
    _say(come)


def clone(
    address: Annotated[
        str,
        typer.Argument(
            help="The lake that has it: a folder, file:///… or lakefs://….",
            show_default=False,
            autocompletion=complete_addresses,
        ),
    ],
    dataset: Annotated[str, typer.Argument(help="Name of the dataset there.", show_default=False)],
    metadata_only: Annotated[
        bool, typer.Option("--metadata-only", help="Leave every table's rows where they are.")
    ] = False,
    tables: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE,…", help="Bring the rows of these tables alone.", show_default=False
        ),
    ] = None,
    slice_id: Annotated[
        str | None,
        typer.Option(
            "--slice",
            metavar="ID",
            help="Bring every table but pixels, and of those what a slice's samples need.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring a dataset of another lake here; what is left out is fetched when it is touched."""
    from registry.catalog.registry import Registry
    from registry.lake import init
    from registry.lake.transfer import clone as bring
    from registry.query.fetching import fetch_slice
    from registry.query.slices import find_slice

    part = _part(metadata_only=metadata_only, tables=tables, slice_id=slice_id)
    other = _origin(address, dataset)
    if slice_id is not None:
        find_slice(Registry(lake=other), slice_id)  # said before anything is fetched
    lake = init()
    with watching() as progress:
        come = bring(other, dataset, into=lake, part=part, progress=progress)
        if slice_id is not None:
            progress.stage("fetching the slice's pixels", total=None, unit="files")
            registry = Registry(lake=lake)
            fetch_slice(registry, find_slice(registry, slice_id))
            come = replace(come, left=0)  # how much of it came is not counted
    _say(come)


def _part(*, metadata_only: bool, tables: str | None, slice_id: str | None) -> "Part | None":
    from registry.lake.transfer import Part

    if sum((metadata_only, tables is not None, slice_id is not None)) > 1:
        raise InvalidInputError(
            "--metadata-only, --tables and --slice exclude each other", hint="give one of them"
        )
    if slice_id is not None:
        return Part(without=("pixels",))
    if metadata_only:
        return Part(tables=())
    if tables is not None:
        return Part(tables=tuple(name.strip() for name in tables.split(",") if name.strip()))
    return None


def _other(address: str) -> "Lake":
    from registry.lake import connect

    try:
        return connect(address)
    except NotFoundError as error:
        raise NotFoundError(error.problem, hint=f"make it first: eolab init {address}") from error


def _origin(address: str, dataset: str) -> "Lake":
    """Return another lake that a dataset comes from.

    Raises:
        NotFoundError: There is no such lake, or the dataset is not in it.
    """
    from registry.lake import connect

    try:
        other = connect(address)
    except NotFoundError as error:
        raise NotFoundError(
            error.problem, hint="look at the address: it names the lake that has the dataset"
        ) from error
    try:
        other.repository(dataset)
    except NotFoundError as error:
        raise NotFoundError(
            f"there is no dataset '{dataset}' in the lake {other.address}",
            hint=f"see what it has: {shlex.join(['eolab', '--lake', other.address, 'list'])}",
        ) from error
    return other


def _address(lake: "Lake", dataset: str, stated: str | None, option: str) -> str:
    from registry.lake.transfer import origin_of

    try:
        found = origin_of(lake, dataset)  # first, for it says what to do about one that is not here
    except NotFoundError as error:
        if stated is None:
            raise
        hint = (
            f"bring it here first: {shlex.join(['eolab', 'clone', stated, dataset])}"
            if option == "--from"
            else "see what there is: eolab list"
        )
        raise NotFoundError(error.problem, hint=hint) from error
    if stated is not None:
        return stated
    if found is None:
        raise InvalidInputError(
            f"nothing says where '{dataset}' comes from", hint=f"name the lake: {option} ADDRESS"
        )
    return found.address


def _say(gone: "Transferred") -> None:
    emit(gone, lambda: _text(gone))


def _text(gone: "Transferred") -> str:
    name = gone.dataset.removeprefix(MODELS)
    if not gone:
        return f"{name}: {gone.target} has everything already"
    names = [*gone.branches, *gone.tags]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    said = (
        f"{name}: {gone.commits:,} commits, {gone.objects:,} objects, "
        f"{size_text(gone.size)} to {gone.target}\n"
        f"  {', '.join(names[:_SHOWN])}{more}"
    )
    if gone.held:
        said += f"\n  {gone.held:,} objects were there already"
    if gone.left:
        said += f"\n  {size_text(gone.left)} stay at {gone.source} until somebody touches them"
    return said
