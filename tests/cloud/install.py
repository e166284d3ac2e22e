"""Make the emulator's own virtual environment, `.venv-ministack` in the checkout.

Run as `python -m tests.cloud.install`; does nothing when it is there already. ministack pins
a botocore that is not ours, hence an environment of its own; the shim patches its inside, hence one
exact version.
"""

import subprocess
import sys
import venv
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
ENVIRONMENT = CHECKOUT / ".venv-ministack"
PYTHON = ENVIRONMENT / "bin" / "python"
# Without cryptography ministack does not check the signatures of tokens.
REQUIREMENTS = ("ministack==1.5.33", "cryptography>=43")
_STAMP = ENVIRONMENT / "requirements.txt"


def set_up() -> Path:
    """Return the environment's Python, made if need be."""
    wanted = "\n".join(REQUIREMENTS)
    if not PYTHON.exists() or not _STAMP.exists() or _STAMP.read_text() != wanted:
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        pip = (PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        subprocess.run([*pip, *REQUIREMENTS], check=True)
        _STAMP.write_text(wanted)
    return PYTHON


if __name__ == "__main__":
    print(set_up(), file=sys.stderr)
