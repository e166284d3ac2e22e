"""The layers of the architecture hold: imports go down only, guests stay in their homes."""

import ast
from pathlib import Path

import cognitofs

ROOT = Path(cognitofs.__file__).parent

# A package may import what stands behind it (and itself). Everyone may import errors.
MAY_IMPORT = {
    "errors": set(),
    "store": {"parallel"},
    "auth": {"store.keys", "config", "rootprefix", "safefiles"},
    "parallel": set(),
    "tree": {"store", "parallel"},
    "spool": {"quantities", "store.checksums", "store.interface", "store.records"},
    "transfer": {"store", "spool", "parallel"},
    "fs": {
        "levels",
        "quantities",
        "store.interface",
        "store.records",
        "parallel",
        "tree",
        "spool",
        "transfer",
    },
    "fuse": {"fs", "tree", "store.interface"},
    "quantities": set(),
    "rootprefix": set(),
    "levels": {"rootprefix"},
    "config": {"quantities", "rootprefix", "levels", "store.storage"},
    "configfile": {"safefiles"},
    "application": {"rootprefix", "levels"},
    "policy": {"levels"},
    "where": {"config"},
    "settings": {"config", "configfile", "quantities", "where"},
    "safefiles": set(),
    "mounttable": set(),
    "state": {"config", "where", "mounttable", "safefiles"},
    "runtime": {"safefiles"},
    "mountpoint": {"mounttable"},
    "control": set(),
    "controlserver": {"control", "runtime"},
    "controlclient": {"control", "runtime"},
    "lastword": {"control", "safefiles", "state"},
    "unsent": {"state"},
    "mounts": {"lastword", "control", "controlclient", "runtime", "state", "unsent"},
    "kept": {
        "control",
        "controlclient",
        "lastword",
        "mounts",
        "quantities",
        "safefiles",
        "spool",
        "state",
    },
    "export": {"control", "kept", "safefiles"},
    "logs": {"safefiles"},
    "daemon": {"config", "control", "logs", "safefiles"},
    "preflight": {"store.interface"},
    "servertrials": {"config", "safefiles", "store"},
    "reach": {"auth.account", "config", "levels", "preflight", "servertrials", "store", "where"},
    "backlog": {"control", "fs", "quantities", "spool"},
    "mountface": {"backlog", "control", "fs", "quantities"},
    "ending": set(),
    "idling": set(),
    "doctor": {
        "auth",
        "config",
        "control",
        "levels",
        "mountpoint",
        "mounts",
        "mounttable",
        "rootprefix",
        "settings",
        "state",
        "store.interface",
        "store.s3",
        "tree.names",
        "where",
    },
    "signinwatch": {"auth", "quantities"},
    "assembly": None,
    "session": None,
    "demo": None,
    "cli": None,
    "testing": {"store"},
    "__main__": {"cli"},
    "__init__": set(),
}
GUESTS = {
    "boto3": ("auth/", "demo/"),
    "botocore": ("auth/", "store/", "demo/"),
    "awscrt": ("store/",),
    "urllib3": ("store/",),
    "apsw": (
        "spool/cacheindex.py",
        "spool/damage.py",
        "spool/journal.py",
        "spool/schema.py",
        "tree/attributes.py",
        "tree/memory.py",
    ),
    "pyfuse3": ("fuse/", "session.py"),
    "moto": ("demo/",),
    "json5": ("application/literals.py",),
    "keyring": ("auth/vault.py",),
    "segno": ("cli/prompters.py",),
}


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _modules():
    return sorted(ROOT.rglob("*.py"))


def _allowed(inside, layer):
    may = MAY_IMPORT[layer]
    if may is None or inside in ("errors", "__version__", "") or inside.startswith("errors."):
        return True
    own = inside == layer or inside.startswith(f"{layer}.")
    return own or any(inside == m or inside.startswith(f"{m}.") for m in may)


def test_imports_go_down_only():
    broken = []
    for path in _modules():
        layer = path.relative_to(ROOT).parts[0].removesuffix(".py")
        for name in _imports(path):
            if name == "cognitofs" or not name.startswith("cognitofs."):
                continue
            inside = name.removeprefix("cognitofs.")
            package_of_allowed = any(m.startswith(f"{inside}.") for m in MAY_IMPORT[layer] or ())
            if not _allowed(inside, layer) and not package_of_allowed:
                broken.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not broken


def test_guests_stay_in_their_homes():
    broken = []
    for path in _modules():
        relative = str(path.relative_to(ROOT))
        for name in _imports(path):
            homes = GUESTS.get(name.split(".")[0])
            if homes is not None and not relative.startswith(homes):
                broken.append(f"{relative} imports {name}")
    assert not broken


def test_every_layer_is_listed():
    layers = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in _modules()}
    assert layers <= set(MAY_IMPORT)
