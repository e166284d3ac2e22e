"""A browser without a screen: signs somebody in on the emulator's page, as $BROWSER is started.

    python scripted_browser.py USER PASSWORD URL

Prints the status and the page that it ends at. Standard library only.
"""

import html
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from urllib.parse import urlencode, urljoin


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Follow no redirect."""


def visit(url: str) -> tuple[int, str]:
    """Return the status and the page at *url*."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read().decode()


def redirect_after_sign_in(url: str, username: str, password: str) -> str:
    """Fill in the sign-in page at *url*; return where the browser is sent then."""
    _, page = visit(url)
    form = {
        name: html.unescape(value)
        for name, value in re.findall(r'name="([^"]+)" value="([^"]*)"', page)
    }
    form |= {"username": username, "password": password}
    request = urllib.request.Request(urljoin(url, "/login"), data=urlencode(form).encode())
    try:
        urllib.request.build_opener(_Stay).open(request, timeout=60)
    except urllib.error.HTTPError as exc:
        return exc.headers["Location"]
    raise AssertionError("the sign-in page did not redirect")


def sign_in(
    url: str, username: str, password: str, change: Callable[[str], str] = lambda sent: sent
) -> tuple[int, str]:
    """Sign in at *url* and go where the browser is sent, *change*d; return what is seen there."""
    return visit(change(redirect_after_sign_in(url, username, password)))


if __name__ == "__main__":
    status, seen = sign_in(sys.argv[3], sys.argv[1], sys.argv[2])
    sys.stdout.write(f"{status}\n{seen}\n")
