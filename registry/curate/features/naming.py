"""How a set is named: by its name, by a file, or by a table that somebody computed with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from registry.catalog.registry import Registry
from registry.curate.features.catalogue import FeatureSetNotFoundError
from registry.curate.features.planning import ALL
from registry.curate.features.records import call_of, record_at
from registry.curate.features.work import Call
from registry.errors import InvalidInputError, NotFoundError

__all__ = ["calls_of"]

_LONGEST: Final = 256 * 1024
_ENDINGS: Final = (".yaml", ".yml")


def calls_of(
    registry: Registry | None,
    sets: Sequence[str | Call],
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Call]:
    """Return the sets that texts name.

    Args:
        registry: Where ``ships@v2/mine`` is looked up; None where no lake is at hand.
        sets: ``spectral``, ``all``, ``./mine.yaml``, ``ships@v2/mine``; or what they come to.
        parameters: By set, for those that take some.

    Raises:
        InvalidInputError: Parameters are given for a set that is not named, or a file is no
            definition.
        NotFoundError: There is no such file or table.
    """
    given = dict(parameters or {})
    calls = [one if isinstance(one, Call) else _call(registry, one, given) for one in sets]
    if unused := sorted(set(given) - {call.name for call in calls}):
        raise InvalidInputError(
            f"parameters are given for '{unused[0]}', which is not computed",
            hint=f"name it too: --set {unused[0]}",
        )
    return calls


def _call(
    registry: Registry | None, text: str, parameters: Mapping[str, Mapping[str, Any]]
) -> Call:
    if text.endswith(_ENDINGS):
        return _from_file(Path(text))
    if registry is not None and ("@" in text or "/" in text):
        return _from_table(registry, text)
    if text == ALL:
        return Call(name=ALL)
    return Call(name=text, parameters=dict(parameters.get(text, {})))


def _from_file(path: Path) -> Call:
    from registry.curate.features.own import own_set

    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST + 1)
    except OSError as error:
        raise NotFoundError(
            f"the definition {path} cannot be read: {error.strerror}", hint="check the path"
        ) from error
    try:
        text = data[:_LONGEST].decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} is not UTF-8", hint="save it as UTF-8") from error
    if len(data) > _LONGEST:
        raise InvalidInputError(f"{path} is larger than 256 kB", hint="split the set")
    return Call(name=own_set(text).name, definition=text)


def _from_table(registry: Registry, text: str) -> Call:
    ref, _, name = text.rpartition("/")
    if not ref or not name:
        raise FeatureSetNotFoundError(
            f"there is no feature set '{text}'",
            hint="write ships@v2/mine for the set of a table, ./mine.yaml for a file",
        )
    version = registry.resolve(ref)
    record = record_at(version.derived, name)
    if record is None:
        raise FeatureSetNotFoundError(
            f"{ref} has no features '{name}'", hint=f"see which it has: eolab features list {ref}"
        )
    return call_of(record)
