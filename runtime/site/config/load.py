"""Reading and checking of the configuration of a site."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..bundles import SHIPPED, shipped
from .checks import cross_checks, unknown_names
from .messages import problems_of
from .models import Secret, SiteConfig
from .problems import Location, Places, SiteConfigError
from .secrets import Environment, read_secret
from .yaml_text import Scalar, Values, read_yaml

_YES_NO = {"yes": True, "on": True, "y": True, "no": False, "off": False, "n": False}


@dataclass(frozen=True, slots=True)
class LoadedSite:
    """A configuration that was read and checked.

    Attributes:
        config: The configuration.
        folder: The folder that its paths are relative to.
        path: The file; None if the configuration came from elsewhere.
        warnings: What is allowed and probably not meant.
        places: Where each field is written, for messages.
        environment: Looks up the environment variables of secrets.
    """

    config: SiteConfig
    folder: Path
    path: Path | None = None
    warnings: tuple[str, ...] = ()
    places: Places = field(default_factory=Places, repr=False, compare=False)
    environment: Environment = field(default=os.environ.get, repr=False, compare=False)

    @property
    def state(self) -> Path:
        """The folder of database, snapshots and media."""
        return self.resolve(self.config.state)

    def resolve(self, path: str) -> Path:
        """A path of the configuration, which may begin with ~, as an absolute path."""
        return Path(os.path.normpath(self.folder / Path(path).expanduser()))

    def bundle_path(self, name: str) -> Path:
        """The bundle of that name in the configuration: a path, or the name of a bundle that comes with punctum."""
        given = self.config.bundles[name].path
        found = self.resolve(given)
        return found if found.exists() else Path(shipped(given)) if given in SHIPPED else found

    def source(self, camera: str) -> str:
        """The source of a camera, with an absolute path if it is a file or folder."""
        from ...sources.media import is_address

        given = self.config.cameras[camera].source
        return given if is_address(given) or "://" in given else str(self.resolve(given))

    def secret(self, secret: Secret | None) -> str | None:
        """The secret itself, read now. Never print it. Raises InputError, which names the variable or file only."""
        return None if secret is None else read_secret(secret, self.folder, self.environment)


def load_site(path: str | Path, *, environment: Environment = os.environ.get) -> LoadedSite:
    """Read a configuration from a YAML file.

    Args:
        path: The file.
        environment: Looks up an environment variable.

    Raises:
        InputError: The file cannot be read, or is not YAML. The message names file and line.
        SiteConfigError: Fields are wrong. `problems` has an error for each of them.
        MissingDependencyError: PyYAML is not installed.
    """
    path = Path(path)
    root = read_yaml(path)
    places = Places(path, root)
    config = _validated(Values(path).of(root), places)
    return _checked(config, path.absolute().parent, path, places, environment)


def site_of(
    config: SiteConfig | dict[str, Any],
    folder: Path,
    *,
    environment: Environment = os.environ.get,
) -> LoadedSite:
    """Check a configuration that comes from elsewhere, such as a request, as `load_site` does. Raises SiteConfigError.

    Args:
        config: The configuration, or its fields as JSON has them.
        folder: The folder that its paths are relative to.
        environment: Looks up an environment variable.
    """
    places = Places()
    if not isinstance(config, SiteConfig):
        config = _validated(_tuples(config), places)
    return _checked(config, folder.absolute(), None, places, environment)


def _checked(
    config: SiteConfig,
    folder: Path,
    path: Path | None,
    places: Places,
    environment: Environment,
) -> LoadedSite:
    problems, warnings = cross_checks(config, folder, environment)
    if problems:
        raise SiteConfigError.of(problems, places)
    told = tuple(f"{places.of(one.where)} {one.given}" for one in warnings)
    return LoadedSite(config, folder, path, told, places, environment)


def _tuples(value: Any) -> Any:
    """Lists as tuples: the models are strict."""
    if isinstance(value, dict):
        return {key: _tuples(one) for key, one in value.items()}
    return tuple(_tuples(one) for one in value) if isinstance(value, list | tuple) else value


def _validated(values: Any, places: Places) -> SiteConfig:
    """The configuration of plain values. Raises SiteConfigError."""
    try:
        return SiteConfig.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False)
    changed = [_take_as_written(values, one, places) for one in found]
    if any(changed):
        try:
            return SiteConfig.model_validate(values)
        except ValidationError as error:
            found = error.errors(include_url=False)
    problems = problems_of(found, places)
    known = {problem.where for problem in problems}
    more = [problem for problem in unknown_names(values) if problem.where not in known]
    raise SiteConfigError.of([*problems, *more], places)


def _take_as_written(values: Any, error: Any, places: Places) -> bool:
    """Use the text of a value where text is required (`user: 007`), and yes or no where true or false is.

    Returns:
        Whether the value was changed.
    """
    where = places.fields(error["loc"])
    node = places.node(where)
    if not isinstance(node, Scalar) or not node.plain or not where:
        return False
    if error["type"] in ("string_type", "literal_error") and not isinstance(node.value, str) and node.value is not None:
        new: Any = node.text
    elif error["type"] == "bool_type" and node.text.lower() in _YES_NO:
        new = _YES_NO[node.text.lower()]
    else:
        return False
    return _replace(values, where, new)


def _replace(values: Any, where: Location, new: Any) -> bool:
    """Replace one value below. Tuples are replaced as a whole."""
    owner: Any = values
    owners: list[tuple[Any, Any]] = []
    for part in where[:-1]:
        owners.append((owner, part))
        owner = owner[part]
    value: Any = new
    last: Any = where[-1]
    while True:
        if isinstance(owner, dict):
            owner[last] = value
            return True
        value = (*owner[:last], value, *owner[last + 1 :])
        if not owners:
            return False
        owner, last = owners.pop()
