"""Device: this machine as a user pool remembers it, and how a pool gets to know it.

Owns ConfirmDevice (cognito-idp). Sources: "Working with user devices in your user pool", Cognito
developer guide; without ConfirmDevice, and without the device's key in each renewal, the sign-in
ends after an hour (aws/aws-sdk-cpp#851).

INVARIANT: the device's password is random, made here, and never sent.
"""

import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from cognitofs.auth import srp
from cognitofs.auth.clients import CognitoClient
from cognitofs.auth.translate import Refusal

_PASSWORD_BYTES = 40
# Of DeviceName in the model of cognito-idp it is 1024; a host's name is at most 64 on Linux.
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Device:
    """What proves that a sign-in comes from this machine."""

    key: str
    group_key: str
    password: str = field(repr=False)

    @property
    def name(self) -> srp.DeviceName:
        """Whom the proof is for."""
        return self.group_key, self.key


def confirmed_device(
    user_pool: CognitoClient,
    access_token: str,
    metadata: Mapping[str, str],
    *,
    is_trusted: bool,
) -> Device:
    """Make this machine known to the pool (*metadata* is NewDeviceMetadata); return it.

    *is_trusted*: later sign-ins from here need no second factor, where the pool lets the person
    choose. Raises SignInRefused, AuthUnavailable, ConfigError.
    """
    key, group = metadata["DeviceKey"], metadata["DeviceGroupKey"]
    device = Device(key, group, secrets.token_urlsafe(_PASSWORD_BYTES))
    answer = user_pool.call(
        "confirm_device",
        AccessToken=access_token,
        DeviceKey=key,
        DeviceSecretVerifierConfig=srp.device_verifier_config(device.name, device.password),
        DeviceName=f"cognitofs on {socket.gethostname()}"[:_LONGEST_NAME],
    )
    if answer.get("UserConfirmationNecessary") and is_trusted:
        user_pool.call(
            "update_device_status",
            AccessToken=access_token,
            DeviceKey=key,
            DeviceRememberedStatus="remembered",
        )
    return device


def is_unknown_device(refusal: Refusal) -> bool:
    """Whether the pool has forgotten the device that a request named."""
    is_missing = refusal.code == "ResourceNotFoundException" and "evice" in refusal.message
    return is_missing or refusal.code == "DeviceKeyNotFoundException"
