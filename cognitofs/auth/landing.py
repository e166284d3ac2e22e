"""The page that a person sees in the browser when the sign-in has come back to this machine.

Owns its look and its words. Self-contained: no script, nothing is loaded from anywhere, and
everything that came from outside is escaped.
"""

import html

HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    # The address holds the code: it must not travel on.
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}
"""What every page is sent with."""

_STYLE = """
:root { color-scheme: light dark; --paper: #f3f5f8; --card: #fff; --ink: #1b2430;
  --soft: #5b6776; --line: #e1e6ec; --mark: #1a7f4b; --glow: #dff3e7 }
body.bad { --mark: #b3402e; --glow: #fbe6e2 }
@media (prefers-color-scheme: dark) {
  :root { --paper: #10151b; --card: #1a212a; --ink: #e8edf3; --soft: #9aa7b6; --line: #2a333f;
    --mark: #5ad08f; --glow: #1d3a2b }
  body.bad { --mark: #ff8f7d; --glow: #43241f } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 24px;
  background: var(--paper); color: var(--ink);
  font: 17px/1.55 system-ui, -apple-system, "Segoe UI", Cantarell, "DejaVu Sans", sans-serif }
main { width: 100%; max-width: 460px; padding: 44px 40px 30px; text-align: center;
  background: var(--card); border: 1px solid var(--line); border-radius: 18px;
  box-shadow: 0 18px 50px rgba(16, 28, 44, .09) }
svg { width: 76px; height: 76px; padding: 19px; border-radius: 50%; background: var(--glow);
  stroke: var(--mark); stroke-width: 3; fill: none; stroke-linecap: round; stroke-linejoin: round }
h1 { margin: 24px 0 10px; font-size: 26px; line-height: 1.25; letter-spacing: -.01em }
p { margin: 0 0 10px; color: var(--soft); overflow-wrap: anywhere }
p.why { color: var(--ink) }
h1, p, footer { text-wrap: balance }
code { display: inline-block; max-width: 100%; padding: 2px 7px; border-radius: 6px;
  background: var(--paper); color: var(--ink);
  font: 15px/1.5 ui-monospace, "DejaVu Sans Mono", monospace }
footer { margin-top: 30px; padding-top: 18px; border-top: 1px solid var(--line);
  color: var(--soft); font-size: 14px }
"""
_TICK = '<path d="M5 20 L15 30 L33 9"/>'
_CROSS = '<path d="M9 9 L29 29 M29 9 L9 29"/>'


def success_page(who: str, where: str) -> bytes:
    """Return the page for *who* being signed in; *where* are the files, "" if unknown."""
    place = f"<p>Your files are in <code>{html.escape(where)}</code>.</p>" if where else ""
    text = f"{place}<p>You can close this window and go back to the terminal.</p>"
    return _page("good", _TICK, f"Signed in as {html.escape(who)}", text)


def failure_page(why: str) -> bytes:
    """Return the page for a sign-in that failed; *why* is a sentence."""
    text = (
        f'<p class="why">{html.escape(why)}</p>'
        "<p>You can close this window; the terminal says the same. To try again, run "
        "<code>cognitofs login --browser</code>.</p>"
    )
    return _page("bad", _CROSS, "You are not signed in", text)


def _page(kind: str, drawing: str, title: str, text: str) -> bytes:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{title} - cognitofs</title><style>{_STYLE}</style></head>"
        f'<body class="{kind}"><main>'
        f'<svg viewBox="0 0 38 38" role="img" aria-hidden="true">{drawing}</svg>'
        f"<h1>{title}</h1>{text}"
        "<footer>cognitofs, on your own computer</footer>"
        "</main></body></html>"
    ).encode()
