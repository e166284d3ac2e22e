"""Values and short ways that the contract's cases share."""

from cognitofs.store.interface import ETag, ObjectHeaders, ObjectStore

PLAIN = ObjectHeaders(content_type="text/plain")
OTHER_TAG = ETag('"0123456789abcdef0123456789abcdef"')
ODD_KEYS = {
    "space": "a b/c  d",
    "plus": "a+b",
    "percent": "100%/%41%2F",
    "unicode": "zażółć/日本/👩‍💻",
    "decomposed": "e\u0301",
    "quotes": "\"double\" 'single' `back`",
    "newline": "line\nbreak",
    "query": "&=?;#/x?y=1&z",
    "leading": "/leading",
    "double": "x//y",
    "tilde": "~/*!()",
    "brackets": "[a]{b}|^<c>,@$:",
    "backslash": "a\\b",
    "amp": "&amp;&lt;",
    "colon": "us-east-1:0a",
    "control": "tab\tbell\x07",
}
DOTS = ["..", ".", "a/../b", "../escape", "a/./b", "a/..", "./a"]


async def names(store: ObjectStore, prefix: str = "", **how: object) -> tuple[list[str], list[str]]:
    page = await store.list_page(prefix, **how)
    return [info.key for info in page.objects], list(page.prefixes)
