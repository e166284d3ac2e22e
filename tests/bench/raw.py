"""The raw client: what this machine and server can do at most, with nothing in between.

A urllib3 pool, eight threads, parts of 8 MiB, requests signed with UNSIGNED-PAYLOAD and without
checksums. Runs in a process of its own, so that its CPU time and memory are its own:
`python -m tests.bench.raw OPERATION ARGUMENT...`, the target as JSON on standard input, the
measurement as JSON on standard output.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import urllib3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

PART = 8 << 20
THREADS = 8
_XML = {"s3": "http://s3.amazonaws.com/doc/2006-03-01/"}


class _Signer(S3SigV4Auth):
    """Signs without a hash of the body, which S3 takes over plain http too."""

    def payload(self, _request: AWSRequest) -> str:
        return "UNSIGNED-PAYLOAD"


class Raw:
    """One bucket, eight connections."""

    def __init__(self, endpoint: str, bucket: str, access_key: str, secret_key: str) -> None:
        self._base = f"{endpoint}/{bucket}"
        self._signer = _Signer(Credentials(access_key, secret_key), "s3", "us-east-1")
        self._pool = urllib3.PoolManager(maxsize=THREADS, block=True, retries=False, timeout=120)
        self._threads = ThreadPoolExecutor(THREADS)

    def upload(self, path: str, key: str) -> None:
        """Send a file as a multipart upload."""
        size = Path(path).stat().st_size
        started = self._ask("POST", key, "uploads=")
        upload = ElementTree.fromstring(started.data).findtext("s3:UploadId", "", _XML)
        starts = range(0, size, PART)
        with open(path, "rb") as file:
            send = partial(self._send_part, file.fileno(), key, upload)
            tags = list(self._threads.map(send, range(1, len(starts) + 1), starts))
        parts = "".join(
            f"<Part><PartNumber>{n}</PartNumber><ETag>{tag}</ETag></Part>"
            for n, tag in enumerate(tags, start=1)
        )
        whole = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>"
        self._ask("POST", key, f"uploadId={quote(upload, safe='')}", body=whole.encode())

    def download(self, key: str) -> None:
        """Fetch an object in ranges of the size of a part, and drop it."""
        size = int(self._ask("HEAD", key).headers["Content-Length"])
        self._all(partial(self._fetch, key), range(0, size, PART))

    def put_many(self, directory: str, prefix: str) -> None:
        """Send every file of a directory as one object each."""
        self._all(partial(self._put, prefix), sorted(Path(directory).iterdir()))

    def list_all(self, prefix: str) -> list[str]:
        """List every key below *prefix*."""
        keys: list[str] = []
        token = ""
        while True:
            query = f"list-type=2&prefix={quote(prefix, safe='')}"
            query += f"&continuation-token={quote(token, safe='')}" if token else ""
            page = ElementTree.fromstring(self._ask("GET", "", query).data)
            keys += [found.text or "" for found in page.iterfind("s3:Contents/s3:Key", _XML)]
            token = page.findtext("s3:NextContinuationToken", "", _XML)
            if not token:
                return keys

    def list_and_head(self, prefix: str) -> None:
        """List, and ask for each object's headers, as `ls -l` must."""
        self._all(partial(self._ask, "HEAD"), self.list_all(prefix))

    def make_tree(self, prefix: str, directories: str, files: str) -> None:
        """Make directories of small objects."""
        keys = [
            f"{prefix}d{d:03}/f{f:03}" for d in range(int(directories)) for f in range(int(files))
        ]
        self._all(lambda key: self._ask("PUT", key, body=b"x"), keys)

    def _send_part(self, descriptor: int, key: str, upload: str, number: int, start: int) -> str:
        body = os.pread(descriptor, PART, start)
        query = f"partNumber={number}&uploadId={quote(upload, safe='')}"
        return str(self._ask("PUT", key, query, body=body).headers["ETag"])

    def _fetch(self, key: str, start: int) -> None:
        self._ask("GET", key, headers={"Range": f"bytes={start}-{start + PART - 1}"})

    def _put(self, prefix: str, path: Path) -> None:
        self._ask("PUT", f"{prefix}{path.name}", body=path.read_bytes())

    def _all(self, work: Callable[..., object], items: Iterable[object]) -> None:
        for _ in self._threads.map(work, items):
            pass

    def _ask(
        self,
        method: str,
        key: str,
        query: str = "",
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        url = f"{self._base}/{quote(key)}" if key else self._base
        request = AWSRequest(
            method, f"{url}?{query}" if query else url, headers=headers or {}, data=body
        )
        self._signer.add_auth(request)
        answer = self._pool.request(
            method, request.url, body=body or None, headers=dict(request.headers.items())
        )
        if answer.status >= 300:
            raise RuntimeError(f"{method} {request.url}: {answer.status} {answer.data[:300]!r}")
        return answer


def main() -> None:
    """Run one operation and print what it took."""
    operation, *arguments = sys.argv[1:]
    raw = Raw(**json.load(sys.stdin))
    started, busy = time.perf_counter(), time.process_time()
    getattr(raw, operation)(*arguments)
    measured = {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - busy,
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
