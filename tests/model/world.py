"""World: what a person expects to find, in plain dictionaries; and what a crash may leave of it.

Knows nothing of the engine. A node's `kept` is what close() or fsync() last froze: after a crash
its name shows that and nothing else. None: it was never closed, so it is not there.
"""

from dataclasses import dataclass, field

DIRECTORY = "directory"
FILE = "file"
LINK = "link"


@dataclass(eq=False)
class Node:
    kind: str
    data: bytes = b""
    kept: bytes | None = None
    inherits: bool = False
    """What is kept is not its own but what had the name before it."""
    mode: int | None = None
    """Permission bits, where nothing has happened that may have lost them."""

    def write(self, at, data):
        grown = self.data.ljust(at, b"\0")
        self.data = grown[:at] + data + grown[at + len(data) :]

    def truncate(self, size):
        self.data = self.data[:size].ljust(size, b"\0")

    def seal(self):
        self.kept, self.inherits = self.data, False


@dataclass
class World:
    tree: dict[str, Node] = field(default_factory=dict)

    def kept(self):
        """Return what a crash now leaves: bytes by path, None for a directory."""
        return {
            path: None if node.kind == DIRECTORY else node.kept
            for path, node in self.tree.items()
            if node.kind == DIRECTORY or node.kept is not None
        }

    def shown(self):
        """Return what the mount shows: bytes by path, None for a directory."""
        return {
            path: None if node.kind == DIRECTORY else node.data for path, node in self.tree.items()
        }

    def objects(self):
        """Return the objects that S3 holds when everything is closed and sent."""
        return {path: n.data for path, n in self.tree.items() if n.kind != DIRECTORY}

    def directories(self):
        return [path for path, node in self.tree.items() if node.kind == DIRECTORY]

    def children(self, path):
        prefix = path + "/" if path else ""
        return {p[len(prefix) :] for p in self.tree if p.startswith(prefix) and p != path} - {
            p[len(prefix) :] for p in self.tree if "/" in p[len(prefix) :]
        }

    def can_be_made(self, path):
        above = path.rpartition("/")[0]
        return path not in self.tree and (not above or self.is_directory(above))

    def is_directory(self, path):
        return path in self.tree and self.tree[path].kind == DIRECTORY

    def rename(self, old, new):
        if self.tree[old].kind == DIRECTORY:
            self.tree.pop(new, None)
            self.tree = {moved(path, old, new): node for path, node in self.tree.items()}
            return
        node, target = self.tree.pop(old), self.tree.get(new)
        if node.inherits:
            node.kept = None
        if node.kept is None and target is not None:
            node.kept, node.inherits = target.kept, True
        self.tree[new] = node

    def became(self, observed):
        """Go on with what was found after a crash or a failure."""
        kept = {}
        for path, data in observed.items():
            node = self.tree.get(path)
            if node is None or node.data != data or node.kept != data:
                kind = DIRECTORY if data is None else FILE
                node = Node(kind, data or b"", data)
            node.mode, node.inherits = None, False
            kept[path] = node
        self.tree = kept


def moved(path, old, new):
    """Return the path of what was *path* before the directory *old* became *new*."""
    return new + path[len(old) :] if path == old or path.startswith(old + "/") else path
