"""Where things live on this machine: configuration, state, cache.

Owns the choice of directories (XDG Base Directory Specification). Makes none of them.
"""

from collections.abc import Mapping
from pathlib import Path

import platformdirs

from cognitofs.config import DEFAULT_PROFILE, MountOptions, check_profile_name

_NAME = "cognitofs"
CONFIG_VARIABLE = "COGNITOFS_CONFIG"


def config_file(flag: Path | None, environ: Mapping[str, str]) -> Path:
    """Return the configuration file: `--config`, else COGNITOFS_CONFIG, else XDG's place."""
    named = flag or environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named).expanduser()
    return platformdirs.user_config_path(_NAME) / "config.toml"


def state_home(options: MountOptions) -> Path:
    """Return the directory that holds every profile's state: tokens, spool, journal."""
    return options.state_dir or platformdirs.user_state_path(_NAME)


def cache_home(options: MountOptions) -> Path:
    """Return the directory for what may be lost: cached blocks and attributes."""
    return options.cache_dir or platformdirs.user_cache_path(_NAME)


def profile_state(options: MountOptions, profile: str = DEFAULT_PROFILE) -> Path:
    """Return the state directory of one profile."""
    return state_home(options) / check_profile_name(profile)
