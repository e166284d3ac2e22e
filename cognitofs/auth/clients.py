"""CognitoClient: unsigned calls to one Cognito service, as answers or refusals.

Owns how botocore is set up for Cognito: no credentials, no signature, no AWS_* variable, no
~/.aws, endpoints from the profile only. Honours HTTP(S)_PROXY, NO_PROXY and `ca_bundle`.
What a refusal means is `translate.py`. botocore is imported where it is used: it costs 0.2 s, which
commands that ask Cognito nothing need not pay.

INVARIANT: nothing in the environment but a proxy can change where tokens are sent.
"""

import base64
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

from cognitofs.auth.clock import ServerClock
from cognitofs.auth.translate import Refusal, sign_in_error
from cognitofs.config import Profile, Service
from cognitofs.errors import AuthUnavailable, ConfigError
from cognitofs.store.keys import Keys

if TYPE_CHECKING:
    from botocore.session import Session

Answer = Mapping[str, Any]
# The region of STS is the identity pool's: its sessions are good everywhere.
ServiceName = Literal["cognito-idp", "cognito-identity", "sts"]

_ENDPOINT_KEYS: Mapping[ServiceName, Service] = {
    "cognito-idp": "cognito_idp",
    "cognito-identity": "cognito_identity",
    "sts": "sts",
}
# A call ends after two tries of connect and read, and up to a second between them: 41 s.
_CONNECT_SECONDS, _READ_SECONDS, _TRIES = 5, 15, 2


class CognitoClient:
    """Calls one service. Safe to use from several threads."""

    def __init__(self, service: ServiceName, profile: Profile, clock: ServerClock) -> None:
        """Build the client; ConfigError when the region or the CA bundle cannot be used."""
        endpoint = profile.endpoint(_ENDPOINT_KEYS[service])
        # Guests may have no user pool at all.
        of_users = profile.user_pool_region or profile.identity_pool_region
        region = of_users if service == "cognito-idp" else profile.identity_pool_region
        self.on_aws = not endpoint
        self._clock = clock
        self._client = _client(service, region, endpoint, profile.ca_bundle)
        self._where = self._client.meta.endpoint_url

    def ask(self, operation: str, **parameters: object) -> Answer | Refusal:
        """Return what the service said to *operation* (botocore's method name).

        Raises AuthUnavailable when it cannot be reached, ConfigError for an impossible request.
        """
        from botocore.exceptions import (  # noqa: PLC0415 - see the module's text
            BotoCoreError,
            ClientError,
            ConnectionError,
            HTTPClientError,
            SSLError,
        )

        try:
            answer = getattr(self._client, operation)(**parameters)
        except ClientError as exc:
            self._observe(exc.response)
            return _refusal(operation, exc.response)
        except SSLError as exc:
            raise AuthUnavailable(
                f"The certificate of {self._where} is not trusted; check the clock, the network "
                "and `ca_bundle`."
            ) from exc
        except (ConnectionError, HTTPClientError, OSError) as exc:
            raise AuthUnavailable(
                f"Cognito cannot be reached at {self._where}; check the network, the proxy "
                "settings and the region of the profile."
            ) from exc
        except BotoCoreError as exc:
            raise ConfigError(
                f"Cognito cannot be asked like this ({operation}: {type(exc).__name__}); check "
                "what you typed, and the ids of the profile with `cognitofs configure`."
            ) from exc
        self._observe(answer)
        return dict(answer)

    def call(self, operation: str, **parameters: object) -> Answer:
        """Return the answer to *operation*.

        Raises as `ask`, and for a refusal the error of `translate.py`.
        """
        answer = self.ask(operation, **parameters)
        if isinstance(answer, Refusal):
            raise sign_in_error(answer)
        return answer

    def _observe(self, answer: Answer) -> None:
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        self._clock.observe(headers.get("date", ""))


class WebClient:
    """Posts forms to the token endpoint of a user pool's domain."""

    def __init__(self, profile: Profile, clock: ServerClock) -> None:
        """Raise ConfigError when the CA bundle cannot be used."""
        self._profile, self._clock = profile, clock
        self._verify = _verify(profile.ca_bundle)

    def post(self, url: str, form: Mapping[str, str]) -> tuple[int, bytes]:
        """Return status and body; redirects are not followed. Raises AuthUnavailable."""
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - see the module's text
        from botocore.exceptions import (  # noqa: PLC0415 - see the module's text
            ConnectionError,
            HTTPClientError,
        )
        from botocore.httpsession import URLLib3Session  # noqa: PLC0415 - see the module's text
        from botocore.utils import get_environ_proxies  # noqa: PLC0415 - see the module's text

        session = URLLib3Session(
            verify=self._verify,
            proxies=get_environ_proxies(url),
            timeout=(_CONNECT_SECONDS, _READ_SECONDS),
        )
        request = AWSRequest("POST", url, data=urlencode(form), headers=self._headers())
        try:
            answer = session.send(request.prepare())
        except (ConnectionError, HTTPClientError) as exc:
            raise AuthUnavailable(
                f"The user pool's domain cannot be reached at {url}; check the network, the proxy "
                "settings and `oauth_domain`."
            ) from exc
        finally:
            session.close()
        self._clock.observe(answer.headers.get("date", ""))
        return int(answer.status_code), bytes(answer.content)

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        secret = self._profile.client_secret
        if secret:
            pair = f"{self._profile.client_id}:{secret}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        return headers


def _refusal(operation: str, answer: Answer) -> Refusal:
    error, metadata = answer.get("Error", {}), answer.get("ResponseMetadata", {})
    return Refusal(
        operation,
        str(error.get("Code", "")),
        str(error.get("Message", "")),
        int(metadata.get("HTTPStatusCode", 0)),
    )


# botocore has no types: its client is Any.
def signed_client(service: ServiceName, profile: Profile, keys: Keys) -> Any:  # noqa: ANN401 - see above
    """Return a botocore client that signs with *keys*. Raises ConfigError."""
    region = profile.identity_pool_region or profile.s3_region
    endpoint = profile.endpoint(_ENDPOINT_KEYS[service])
    return _client(service, region, endpoint, profile.ca_bundle, keys)


def _client(
    service: str, region: str, endpoint: str, ca_bundle: str, keys: Keys | None = None
) -> Any:  # noqa: ANN401 - see above
    from botocore import UNSIGNED  # noqa: PLC0415 - see the module's text
    from botocore.config import Config  # noqa: PLC0415 - see the module's text
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - see the module's text

    config = Config(
        signature_version=None if keys else UNSIGNED,
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _TRIES},
        ignore_configured_endpoint_urls=True,
    )
    try:
        return _session().create_client(
            service,
            region_name=region or None,
            endpoint_url=endpoint or None,
            verify=_verify(ca_bundle),
            config=config,
            aws_access_key_id=keys.access_key if keys else None,
            aws_secret_access_key=keys.secret_key if keys else None,
            aws_session_token=keys.token if keys else None,
        )
    except (BotoCoreError, ValueError) as exc:
        raise ConfigError(
            f"There is no {service} for region {region!r}; correct `region` and the ids of the "
            "pools with `cognitofs configure`."
        ) from exc


def _session() -> "Session":
    """Return a session that reads neither AWS_* variables nor files below ~/.aws."""
    from botocore.configprovider import (  # noqa: PLC0415 - see the module's text
        BOTOCORE_DEFAUT_SESSION_VARIABLES as SESSION_VARIABLES,
    )
    from botocore.session import Session  # noqa: PLC0415 - see the module's text

    deaf = {
        name: (None, None, default, conversion)
        for name, (_, _, default, conversion) in SESSION_VARIABLES.items()
    }
    nowhere = {name: (None, None, os.devnull, None) for name in ("config_file", "credentials_file")}
    return Session(session_vars=deaf | nowhere)


def _verify(ca_bundle: str) -> str | bool:
    """Return the certificates to trust; explicit, so that REQUESTS_CA_BUNDLE is not read."""
    if not ca_bundle:
        return True
    path = os.path.expanduser(ca_bundle)
    if not os.path.isfile(path):
        raise ConfigError(
            f"`ca_bundle` names {path}, which is not there; correct it with `cognitofs configure`."
        )
    return path
