"""SRP-6a as Amazon Cognito speaks it: the password is proved without being sent.

Owns the arithmetic and the exact bytes of the proof. Pure: no service is called here.

Source of the protocol: RFC 5054 (SRP-6a, 3072-bit group, g = 2) with SHA-256, HKDF (RFC 5869) with
the info "Caldera Derived Key", and integers as Java's BigInteger.toByteArray writes them; compared
with pycognito and with an independent server-side computation in the tests.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime

from cognitofs.errors import SignInRefused

# The 3072-bit group of RFC 3526, section 4 (also RFC 5054, appendix A).
N = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A0879"
    "8E3404DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B"
    "0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA4836"
    "1C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804"
    "F1746C08CA18217C32905E462E36CE3BE39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6"
    "955817183995497CEA956AE515D2261898FA051015728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64"
    "ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7ABF5AE8CDB0933D71E8C94E04A25619DCEE3D226"
    "1AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200CBBE117577A615D6C770988C0BAD946E2"
    "08E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF",
    16,
)
G = 2
# RFC 5054 section 3.1 asks for at least 256 bits; Amplify takes 1024.
_PRIVATE_BITS = 1024

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def padded(number: int) -> bytes:
    """Return *number* big-endian, with a zero byte in front when its top bit is set."""
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def hashed(*parts: bytes) -> int:
    """Return SHA-256 of the joined *parts* as a number."""
    return int.from_bytes(hashlib.sha256(b"".join(parts)).digest(), "big")


K = hashed(padded(N), padded(G))


def timestamp(now: datetime) -> str:
    """Return *now* as the proof wants it: "Sun Nov 2 08:05:09 UTC 2026".

    English whatever the locale, and the day is not padded.
    """
    utc = now.astimezone(UTC)
    return (
        f"{_DAYS[utc.weekday()]} {_MONTHS[utc.month - 1]} {utc.day} {utc:%H:%M:%S} UTC {utc.year}"
    )


def secret_hash(username: str, client_id: str, client_secret: str) -> str:
    """Return SECRET_HASH for the USERNAME of the same request (Cognito developer guide)."""
    digest = hmac.digest(client_secret.encode(), (username + client_id).encode(), "sha256")
    return base64.b64encode(digest).decode()


class SrpClient:
    """One sign-in's side of the exchange. Use each instance once."""

    def __init__(self, private: int | None = None) -> None:
        self._a = private if private is not None else secrets.randbits(_PRIVATE_BITS)
        self._public = pow(G, self._a, N)

    @property
    def srp_a(self) -> str:
        """The public value, as SRP_A of InitiateAuth."""
        return format(self._public, "x")

    def session_key(self, identity: str, password: str, salt: str, srp_b: str) -> bytes:
        """Return the 16-byte key both sides hold if the password is right.

        *identity* is pool name + user id; *salt* and *srp_b* are hexadecimal.
        Raises SignInRefused for a server value that RFC 5054 forbids (section 2.5.4).
        """
        try:
            server, salted = int(srp_b, 16), padded(int(salt, 16))
        except ValueError as exc:
            raise _not_srp() from exc
        u = hashed(padded(self._public), padded(server))
        if server % N == 0 or u == 0:
            raise _not_srp()
        x = _private_key(identity, password, salted)
        shared = pow((server - K * pow(G, x, N)) % N, self._a + u * x, N)
        pseudorandom = hmac.digest(padded(u), padded(shared), "sha256")
        return hmac.digest(pseudorandom, b"Caldera Derived Key\x01", "sha256")[:16]

    def password_verifier(
        self, pool_id: str, password: str, challenge: Mapping[str, str], now: datetime
    ) -> dict[str, str]:
        """Return the proof for PASSWORD_VERIFIER; the caller adds USERNAME and SECRET_HASH.

        *challenge* are the ChallengeParameters. Raises SignInRefused when they are not SRP's.
        """
        pool, user = pool_id.partition("_")[2], challenge.get("USER_ID_FOR_SRP", "")
        if not user:
            raise _not_srp()
        return self._proof((pool, user), password, challenge, now)

    def device_verifier(
        self, device: "DeviceName", password: str, challenge: Mapping[str, str], now: datetime
    ) -> dict[str, str]:
        """Return the proof for DEVICE_PASSWORD_VERIFIER; as `password_verifier`."""
        return self._proof(device, password, challenge, now)

    def _proof(
        self, who: "DeviceName", password: str, challenge: Mapping[str, str], now: datetime
    ) -> dict[str, str]:
        try:
            block, salt, srp_b = (challenge[k] for k in ("SECRET_BLOCK", "SALT", "SRP_B"))
            sealed = base64.b64decode(block)
        except (KeyError, binascii.Error) as exc:
            raise _not_srp() from exc
        name, when = "".join(who), timestamp(now)
        key = self.session_key(name, password, salt, srp_b)
        proof = hmac.digest(key, name.encode() + sealed + when.encode(), "sha256")
        return {
            "TIMESTAMP": when,
            "PASSWORD_CLAIM_SECRET_BLOCK": block,
            "PASSWORD_CLAIM_SIGNATURE": base64.b64encode(proof).decode(),
        }


DeviceName = tuple[str, str]
"""The two halves of the name that a proof is for: pool and user, or device group and device."""


def device_verifier_config(device: DeviceName, password: str) -> dict[str, str]:
    """Return DeviceSecretVerifierConfig of ConfirmDevice: what proves *password* later on."""
    salt = padded(secrets.randbits(128))
    x = _private_key("".join(device), password, salt)
    verifier = padded(pow(G, x, N))
    return {
        "Salt": base64.b64encode(salt).decode(),
        "PasswordVerifier": base64.b64encode(verifier).decode(),
    }


def _private_key(identity: str, password: str, salt: bytes) -> int:
    return hashed(salt, hashlib.sha256(f"{identity}:{password}".encode()).digest())


def _not_srp() -> SignInRefused:
    return SignInRefused(
        "The server's answer to the sign-in is not valid SRP, so nothing was proved to it; "
        "check that `user_pool_id` and the endpoints name a Cognito user pool."
    )
