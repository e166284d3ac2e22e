"""Where the bucket is: the base URL of all requests and the region that signs them.

Owns the rules for addresses. On AWS they are botocore's endpoint rules (partitions, FIPS, dual
stack); a given endpoint is addressed path style. INVARIANT: plain http only to loopback.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from cognitofs.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Scheme, host and port of a bucket, and the path that stands before each key."""

    scheme: str
    host: str
    port: int
    path: str
    region: str
    is_aws: bool

    @property
    def authority(self) -> str:
        """The value of the Host header; the default port is left out as HTTP clients do."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


_PORTS = {"http": 80, "https": 443}
_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}")  # old buckets have upper case and "_"
_REGION = re.compile(r"[A-Za-z0-9-]{1,64}")  # other servers have their own, like "garage"


def endpoint_of(
    bucket: str,
    region: str,
    *,
    endpoint_url: str = "",
    fips: bool = False,
    dual_stack: bool = False,
) -> Endpoint:
    """Return the endpoint of *bucket*.

    Raises ConfigError when *bucket* or *region* cannot be one, when the address is no https URL
    (or http to loopback), or when AWS has no such endpoint.
    """
    if not _BUCKET.fullmatch(bucket) or not bucket.strip("."):
        raise ConfigError(f"{bucket!r} is no name of a bucket. Correct bucket in the profile.")
    if not _REGION.fullmatch(region):
        raise ConfigError(f"{region!r} is no region. Correct bucket_region in the profile.")
    if endpoint_url:
        parts = _checked(endpoint_url)
        return _endpoint(parts, f"{parts.path.rstrip('/')}/{bucket}", region, is_aws=False)
    parts, signing_region = _aws(bucket, region, fips=fips, dual_stack=dual_stack)
    return _endpoint(parts, parts.path.rstrip("/"), signing_region or region, is_aws=True)


def is_loopback(host: str) -> bool:
    """Whether *host* never leaves this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _endpoint(parts: SplitResult, path: str, region: str, *, is_aws: bool) -> Endpoint:
    port = parts.port or _PORTS[parts.scheme]
    return Endpoint(parts.scheme, parts.hostname or "", port, path, region, is_aws)


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in _PORTS and parts.hostname and parts.port != 0
    except ValueError as exc:
        raise ConfigError(f"endpoint_url {url!r} is not a URL ({exc}). Correct it.") from exc
    if not usable or parts.query or parts.fragment or parts.username:
        raise ConfigError(
            f"endpoint_url {parts.scheme}://{parts.hostname} cannot be used: it must be "
            "https://HOST[:PORT] without user, query or fragment. Correct it in the profile."
        )
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ConfigError(
            f"endpoint_url {url!r} is not encrypted, which is allowed for this machine only "
            "(127.0.0.1). Use https."
        )
    return parts


def _aws(bucket: str, region: str, *, fips: bool, dual_stack: bool) -> tuple[SplitResult, str]:
    from botocore.exceptions import EndpointProviderError  # noqa: PLC0415 - as in _provider

    try:
        found = _provider().resolve_endpoint(
            Region=region, Bucket=bucket, UseFIPS=fips, UseDualStack=dual_stack
        )
    except EndpointProviderError as exc:
        raise ConfigError(
            f"AWS has no endpoint for bucket {bucket!r} in region {region!r} ({exc}). "
            "Check bucket and bucket_region in the profile."
        ) from exc
    schemes = found.properties.get("authSchemes", [{}])
    return urlsplit(found.url), str(schemes[0].get("signingRegion", ""))


@lru_cache(maxsize=1)
def _provider() -> Any:  # noqa: ANN401 - botocore has no types
    # botocore takes 0.2 s to import and is not needed where an endpoint is given
    from botocore.endpoint_provider import EndpointProvider  # noqa: PLC0415 - see above
    from botocore.loaders import Loader  # noqa: PLC0415 - see above

    loader = Loader()
    return EndpointProvider(
        loader.load_service_model("s3", "endpoint-rule-set-1"), loader.load_data("partitions")
    )
