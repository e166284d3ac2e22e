"""Every failure cognitofs can name. Imports nothing; knows no errno and no boto3 type.

    CognitoFSError
    |-- ConfigError              the profile or a flag is wrong; the person must change it
    |-- SignInError              Cognito did not let us in
    |   |-- WrongCredentials     user name, password or code is wrong: ask again
    |   |-- LoginRequired        no sign-in, or it ended: `cognitofs login`
    |   |-- SignInRefused        permanent for this account: disabled, not confirmed, ...
    |   |-- AuthUnavailable      Cognito cannot be reached or asks to slow down: try later
    |   |-- ClockSkew            the local clock is too far off for signatures
    |   `-- WrongIdentity        somebody else signed in; their prefix is not ours
    |-- StoreError               S3 did not do what was asked
    |   |-- NotFound             no such object (404)
    |   |-- NoSuchBucket         the bucket does not exist, or not in this region
    |   |-- NoSuchUpload         the multipart upload is gone (completed, aborted or expired)
    |   |-- AccessDenied         the role does not allow it (403)
    |   |   `-- KeysRefused      the keys themselves are unknown, or the signature is wrong
    |   |-- PreconditionFailed   If-Match or If-None-Match did not hold (412)
    |   |-- ConditionalConflict  another conditional write is under way (409)
    |   |-- Changed              the object is no longer the version that was opened
    |   |-- Rejected             S3 will never accept this request as it is (400 and kin)
    |   |   |-- TooLarge         over a size limit of S3
    |   |   `-- Corrupted        a checksum did not match: the bytes were damaged on the way
    |   |-- Archived             the object is in an archive class and must be restored first
    |   |-- Unsupported          the server does not know this operation or header (501)
    |   `-- Transient            trying again may help
    |       |-- Unreachable      no network, no name, no connection, or no answer in time
    |       |-- ServerTrouble    5xx
    |       `-- Throttled        503 SlowDown, 429
    |-- FileSystemError          an answer that a program understands
    |   |-- NoSuchEntry  EntryExists  NotADirectory  IsADirectory  NotEmpty
    |   |-- NameTooLong  NameNotAllowed  BadHandle  Stale  NotPermitted  InvalidArgument
    |   |-- ReadOnly  NoSuchAttribute  AttributesFull  SymlinkLoop
    |   |-- OtherFileSystem      do it by copying (EXDEV)
    |   `-- NotOffered           this file system does not have the feature
    |-- SpoolError               the local disk failed us
    |   |-- SpoolFull            no room for more unsent bytes
    |   |-- TooManyOpen          no descriptor is left for another file
    |   |-- SpoolDamaged         read, write or sync of local state failed
    |   |   `-- JournalDamaged   the journal cannot be read
    |   |-- JournalTooNew        written by a newer cognitofs; left unharmed
    |   `-- UnsentFiles          what was asked would lose files that S3 does not have
    |-- Stalled                  a wait made no progress within its deadline
    `-- MountError               the mount cannot start or end
        |-- MountpointBusy       not empty, already mounted, or this prefix is mounted already
        |-- MountpointUnusable   missing, a file, not ours
        `-- NotMounted           nothing is mounted there, or its process is gone

Each message is a sentence that says what to do next; no message holds a secret.
"""


class CognitoFSError(Exception):
    """Root of all failures that cognitofs raises on purpose."""


class ConfigError(CognitoFSError):
    """The configuration or a flag is wrong."""


class SignInError(CognitoFSError):
    """Cognito did not give us what we need."""


class WrongCredentials(SignInError):
    """User name, password or code is wrong; asking again may help."""


class LoginRequired(SignInError):
    """There is no sign-in, or it has ended; only `cognitofs login` helps."""


class SignInRefused(SignInError):
    """Cognito refuses this account or this way to sign in for good."""


class AuthUnavailable(SignInError):
    """Cognito could not be asked right now; what we hold may still work."""


class ClockSkew(SignInError):
    """The local clock differs too much from the server's for signatures to hold."""


class WrongIdentity(SignInError):
    """The sign-in belongs to another identity than the data at hand."""


class StoreError(CognitoFSError):
    """S3 did not do what was asked."""


class NotFound(StoreError):
    """There is no such object."""


class NoSuchBucket(StoreError):
    """The bucket does not exist or lives in another region."""


class NoSuchUpload(StoreError):
    """The multipart upload is unknown: completed, aborted or expired."""


class AccessDenied(StoreError):
    """The role does not allow this request."""


class KeysRefused(AccessDenied):
    """S3 does not know the keys, or they do not fit the signature: no policy was asked."""


class PreconditionFailed(StoreError):
    """If-Match or If-None-Match did not hold (412)."""


class ConditionalConflict(StoreError):
    """Another conditional write of the same key is under way (409)."""


class Changed(StoreError):
    """The object is no longer the version that was opened."""


class Rejected(StoreError):
    """S3 will never accept this request as it is."""


class TooLarge(Rejected):
    """A size is over a limit of S3."""


class Corrupted(Rejected):
    """A checksum did not match."""


class Archived(StoreError):
    """The object must be restored from its archive class before it can be read."""


class Unsupported(StoreError):
    """The server does not know this operation or header."""


class Transient(StoreError):
    """Trying again may help."""


class Unreachable(Transient):
    """No network, no such host, no connection, or no answer in time."""


class ServerTrouble(Transient):
    """The server failed (5xx)."""


class Throttled(Transient):
    """The server asks to slow down; `retry_after` is how many seconds it names, 0 for none."""

    retry_after: float = 0.0


class FileSystemError(CognitoFSError):
    """An answer in the terms of a file system."""


class NoSuchEntry(FileSystemError):
    """The directory has no such name."""


class EntryExists(FileSystemError):
    """The name is taken."""


class NotADirectory(FileSystemError):
    """A directory was needed."""


class IsADirectory(FileSystemError):
    """A file was needed."""


class NotEmpty(FileSystemError):
    """The directory has entries, visible or hidden."""


class NameTooLong(FileSystemError):
    """The name is over 255 bytes, or its key would be over 1024."""


class NameNotAllowed(FileSystemError):
    """The name is not valid UTF-8."""


class BadHandle(FileSystemError):
    """The handle is not open, or not open for this."""


class Stale(FileSystemError):
    """The file was replaced by another version; open it again."""


class NotPermitted(FileSystemError):
    """Nobody may do this here (EPERM)."""


class InvalidArgument(FileSystemError):
    """The call makes no sense (EINVAL)."""


class ReadOnly(FileSystemError):
    """The mount is read-only."""


class NoSuchAttribute(FileSystemError):
    """The file has no such extended attribute."""


class AttributesFull(FileSystemError):
    """S3 takes no more metadata with the object."""


class SymlinkLoop(FileSystemError):
    """The link leads where this mount will not follow."""


class OtherFileSystem(FileSystemError):
    """It cannot be renamed, only copied (EXDEV): `mv` does that by itself."""


class NotOffered(FileSystemError):
    """The file system does not have the feature."""


class SpoolError(CognitoFSError):
    """The local state directory failed us."""


class SpoolFull(SpoolError):
    """There is no room for more unsent bytes."""


class TooManyOpen(SpoolError):
    """The process has as many files open as it may."""


class SpoolDamaged(SpoolError):
    """Local state could not be read, written or synced."""


class OnlyInUpload(SpoolError):
    """The bytes are in a multipart upload that is not complete: they cannot be read now."""


class BytesLost(SpoolError):
    """Bytes that were only in a multipart upload are gone with it."""


class JournalDamaged(SpoolDamaged):
    """The journal cannot be read; a mount makes a new one."""


class JournalTooNew(SpoolError):
    """The journal was written by a newer cognitofs; it is left unharmed."""


class UnsentFiles(SpoolError):
    """What was asked for would lose files that S3 does not have yet."""


class Stalled(CognitoFSError):
    """A wait made no progress within its deadline; the work goes on behind it."""


class MountError(CognitoFSError):
    """The mount cannot start or end."""


class MountpointBusy(MountError):
    """The mountpoint or the prefix is in use."""


class MountpointUnusable(MountError):
    """The mountpoint cannot be mounted on."""


class NotMounted(MountError):
    """Nothing is mounted there, or the process behind it is gone."""
