"""The forms in which an application's configuration comes, as `Application`s.

Owns which keys each form has. Sources: the JSON schemas of amplify_outputs.json, versions 1 to 2
(aws-amplify/amplify-backend, packages/client-config); `parseAWSExports` and the scoped
configuration of aws-amplify/amplify-js; the configuration of the mobile libraries
(aws-amplify/amplify-flutter, amplify_core); `client.py` of aws-cognito-auth 0.0.8.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from cognitofs.application.application import Application, Bucket, Fact, Facts, checked
from cognitofs.application.literals import Document
from cognitofs.errors import ConfigError

# Amplify writes the policy variable; "{entity_id}" is how its access rules spell it.
_ENTITY = re.compile(r"\$\{cognito-identity\.amazonaws\.com:sub\}|\{entity_id\}")
_KNOWN_VERSION = re.compile(r"1(\.\d+)?|2(\.\d+)?")

VARIABLES = {
    "COGNITO_USER_POOL_ID": "user_pool_id",
    "COGNITO_CLIENT_ID": "client_id",
    "COGNITO_IDENTITY_POOL_ID": "identity_pool_id",
}
"""Variables of the environment that aws-cognito-auth reads too, as keys of a profile."""


def recognised(documents: Iterable[Document], name: str) -> Application:
    """Return what the first document of a known form says; *name* is for complaints.

    Raises ConfigError when there is none, or when it contradicts itself.
    """
    for document in documents:
        for is_form, read in _FORMS:
            if is_form(document):
                return read(document)
    raise ConfigError(
        f"{name} is not the configuration of an application with Cognito; name "
        "amplify_outputs.json, aws-exports.js, amplifyconfiguration.json or "
        "~/.cognito-cli-config.json."
    )


def from_environment(environ: Mapping[str, str]) -> Application:
    """Return what the variables of aws-cognito-auth say. Raises ConfigError when none is set."""
    facts = Facts()
    for variable, key in VARIABLES.items():
        facts.add(key, environ.get(variable), variable)
    if not facts.found:
        raise ConfigError(f"None of {', '.join(VARIABLES)} is set; set them or name a file.")
    _check_region(facts, environ.get("AWS_REGION"), "AWS_REGION")
    return Application("COGNITO_* variables", facts.found)


# -- amplify_outputs.json (Gen 2) -----------------------------------------------------------------


def _is_outputs(document: Document) -> bool:
    auth, storage = document.get("auth"), document.get("storage")
    has_auth = isinstance(auth, dict) and ("user_pool_id" in auth or "identity_pool_id" in auth)
    return has_auth or (isinstance(storage, dict) and "bucket_name" in storage)


def _outputs(document: Document) -> Application:
    auth, storage = _table(document, "auth"), _table(document, "storage")
    facts = Facts()
    facts.add("user_pool_id", auth.get("user_pool_id"), "auth.user_pool_id")
    facts.add("client_id", auth.get("user_pool_client_id"), "auth.user_pool_client_id")
    facts.add("identity_pool_id", auth.get("identity_pool_id"), "auth.identity_pool_id")
    _check_region(facts, auth.get("aws_region"), "auth.aws_region")
    oauth = _table(auth, "oauth")
    _add_oauth(facts, oauth.get("domain"), oauth.get("scopes"), "auth.oauth")
    version = str(document.get("version", "1"))
    return Application(
        f"amplify_outputs.json, version {version}",
        facts.found,
        _output_buckets(storage),
        () if _KNOWN_VERSION.fullmatch(version) else (_too_new(version),),
    )


def _too_new(version: str) -> str:
    return (
        f"The file says version {version!r}, which is newer than what this cognitofs knows; "
        "compare the profile with the application."
    )


def _output_buckets(storage: Document) -> tuple[Bucket, ...]:
    default = str(storage.get("bucket_name") or "")
    listed = storage.get("buckets") or []
    if not isinstance(listed, list):
        raise ConfigError("storage.buckets must be a list; take the file as Amplify wrote it.")
    found = [_output_bucket(each, f"storage.buckets[{n}]") for n, each in enumerate(listed)]
    if default and all(each.name.value != default for each in found):
        place = "storage.bucket_name"
        plain = Bucket("", checked("bucket", default, place), _region(storage, "storage"))
        found.insert(0, plain)
    return tuple(sorted(found, key=lambda bucket: bucket.name.value != default))


def _output_bucket(entry: object, place: str) -> Bucket:
    if not isinstance(entry, dict):
        raise ConfigError(f"{place} must be a table; take the file as Amplify wrote it.")
    name = checked("bucket", entry.get("bucket_name"), f"{place}.bucket_name")
    label = entry.get("name")
    paths = entry.get("paths")
    return Bucket(
        label if isinstance(label, str) else "",
        name,
        _region(entry, place),
        _owned(paths, f"{place}.paths") if paths else None,
    )


def _region(table: Document, place: str) -> Fact | None:
    value = table.get("aws_region")
    return checked("bucket_region", value, f"{place}.aws_region") if value else None


def _owned(paths: object, place: str) -> tuple[str, ...]:
    """Return the templates of the paths that the identity named in them may write."""
    if not isinstance(paths, dict):
        raise ConfigError(f"{place} must be a table; take the file as Amplify wrote it.")
    return tuple(
        template(pattern)
        for pattern, rules in paths.items()
        if _ENTITY.search(pattern) and isinstance(rules, dict) and _may_write(rules)
    )


def _may_write(rules: Document) -> bool:
    return any(
        isinstance(rights, list) and "write" in rights
        for who, rights in rules.items()
        if who.startswith("entity") or who == "authenticated"
    )


def template(pattern: str) -> str:
    """Return the template of `root` for Amplify's path *pattern*, "media/{entity_id}/*"."""
    return _ENTITY.sub("{identity_id}", pattern).removesuffix("*")


# -- aws-exports.js, amplifyconfiguration.json of the web (Gen 1) ---------------------------------

_EXPORTS = ("aws_user_pools_id", "aws_cognito_identity_pool_id", "aws_user_files_s3_bucket")


def _is_exports(document: Document) -> bool:
    return any(key in document for key in _EXPORTS)


def _exports(document: Document) -> Application:
    facts = Facts()
    for key, name in (
        ("user_pool_id", "aws_user_pools_id"),
        ("client_id", "aws_user_pools_web_client_id"),
        ("identity_pool_id", "aws_cognito_identity_pool_id"),
    ):
        facts.add(key, document.get(name), name)
    _check_region(facts, document.get("aws_cognito_region"), "aws_cognito_region")
    oauth = _table(document, "oauth")
    _add_oauth(facts, oauth.get("domain"), oauth.get("scope"), "oauth")
    storage, name = Facts(), "aws_user_files_s3_bucket"
    storage.add("bucket", document.get(name), name)
    storage.add("bucket_region", document.get(f"{name}_region"), f"{name}_region")
    return Application("aws-exports.js", facts.found, _plain_bucket(storage))


# -- amplifyconfiguration of the mobile libraries -------------------------------------------------

_PLUGIN = "auth.plugins.awsCognitoAuthPlugin"


def _is_mobile(document: Document) -> bool:
    return isinstance(_at(document, _PLUGIN), dict)


def _mobile(document: Document) -> Application:
    facts = Facts()
    pool, identities = "CognitoUserPool.Default", "CredentialsProvider.CognitoIdentity.Default"
    for key, path in (
        ("user_pool_id", f"{_PLUGIN}.{pool}.PoolId"),
        ("client_id", f"{_PLUGIN}.{pool}.AppClientId"),
        ("client_secret", f"{_PLUGIN}.{pool}.AppClientSecret"),
        ("identity_pool_id", f"{_PLUGIN}.{identities}.PoolId"),
    ):
        facts.add(key, _at(document, path), path)
    _check_region(facts, _at(document, f"{_PLUGIN}.{pool}.Region"), f"{pool}.Region")
    _check_region(
        facts,
        _at(document, f"{_PLUGIN}.{identities}.Region"),
        f"{identities}.Region",
        key="identity_pool_id",
    )
    oauth = f"{_PLUGIN}.Auth.Default.OAuth"
    web, scopes = _at(document, f"{oauth}.WebDomain"), _at(document, f"{oauth}.Scopes")
    _add_oauth(facts, web, scopes, oauth)
    return Application(
        "amplifyconfiguration.json of a mobile application", facts.found, _mobile_bucket(document)
    )


def _mobile_bucket(document: Document) -> tuple[Bucket, ...]:
    storage, transfer = "storage.plugins.awsS3StoragePlugin", f"{_PLUGIN}.S3TransferUtility.Default"
    facts = Facts()
    facts.add("bucket", _at(document, f"{storage}.bucket"), f"{storage}.bucket")
    facts.add("bucket_region", _at(document, f"{storage}.region"), f"{storage}.region")
    facts.add("bucket", _at(document, f"{transfer}.Bucket"), f"{transfer}.Bucket")
    facts.add("bucket_region", _at(document, f"{transfer}.Region"), f"{transfer}.Region")
    return _plain_bucket(facts)


# -- what people pass to Amplify.configure by hand ------------------------------------------------


def _is_manual(document: Document) -> bool:
    auth = document.get("Auth")
    return isinstance(auth, dict) and any(
        key in table
        for table in (auth, _table(auth, "Cognito"))
        for key in ("userPoolId", "identityPoolId", "UserPoolId")
    )


def _manual(document: Document) -> Application:
    """Read both generations of `Amplify.configure({Auth: ..., Storage: ...})`."""
    facts = Facts()
    for place in ("Auth.Cognito", "Auth"):
        for key, name in (
            ("user_pool_id", "userPoolId"),
            ("client_id", "userPoolClientId"),
            ("client_id", "userPoolWebClientId"),
            ("identity_pool_id", "identityPoolId"),
        ):
            facts.add(key, _at(document, f"{place}.{name}"), f"{place}.{name}")
    _check_region(facts, _at(document, "Auth.region"), "Auth.region")
    oauth = "Auth.Cognito.loginWith.oauth"
    _add_oauth(facts, _at(document, f"{oauth}.domain"), _at(document, f"{oauth}.scopes"), oauth)
    oauth = "Auth.oauth"
    _add_oauth(facts, _at(document, f"{oauth}.domain"), _at(document, f"{oauth}.scope"), oauth)
    storage = Facts()
    for place in ("Storage.S3", "Storage.AWSS3", "Storage"):
        storage.add("bucket", _at(document, f"{place}.bucket"), f"{place}.bucket")
        storage.add("bucket_region", _at(document, f"{place}.region"), f"{place}.region")
    return Application("the argument of Amplify.configure", facts.found, _plain_bucket(storage))


# -- ~/.cognito-cli-config.json of aws-cognito-auth -----------------------------------------------


def _is_cogauth(document: Document) -> bool:
    return "user_pool_id" in document and "client_id" in document


def _cogauth(document: Document) -> Application:
    facts = Facts()
    for key in ("user_pool_id", "client_id", "client_secret", "identity_pool_id"):
        facts.add(key, document.get(key), key)
    _check_region(facts, document.get("region"), "region")
    domain = document.get("managed_login_url")
    if isinstance(domain, str):
        host = domain.removeprefix("https://").partition("/")[0]
        _add_oauth(facts, host, None, "managed_login_url")
    storage = Facts()
    for key in ("bucket", "bucket_region"):
        storage.add(key, document.get(key), key)
    return Application("the configuration of aws-cognito-auth", facts.found, _plain_bucket(storage))


_FORMS: tuple[tuple[Callable[[Document], bool], Callable[[Document], Application]], ...] = (
    (_is_mobile, _mobile),
    (_is_outputs, _outputs),
    (_is_exports, _exports),
    (_is_manual, _manual),
    (_is_cogauth, _cogauth),
)


# -- common ---------------------------------------------------------------------------------------


def _check_region(facts: Facts, region: object, place: str, *, key: str = "user_pool_id") -> None:
    """Raise ConfigError when *region* is not the one that the pool's id names."""
    if not region:
        return
    checked("region", region, place)
    pool = facts.found.get(key) or facts.found.get("identity_pool_id")
    if pool is None:
        facts.add("region", region, place)
    elif re.split("[_:]", pool.value)[0] != region:
        raise ConfigError(
            f"The file contradicts itself: {place} is {region!r}, but {pool.place} is "
            f"{pool.value!r}; a pool's id begins with its region. Correct the file."
        )


def _plain_bucket(storage: Facts) -> tuple[Bucket, ...]:
    """Return the one bucket of a form that says nothing of paths; none when there is none."""
    name = storage.found.get("bucket")
    return (Bucket("", name, storage.found.get("bucket_region")),) if name else ()


def _add_oauth(facts: Facts, domain: object, scopes: object, place: str) -> None:
    if isinstance(domain, str):
        facts.add("oauth_domain", domain.removeprefix("https://").rstrip("/"), f"{place}.domain")
    if domain and isinstance(scopes, Sequence) and not isinstance(scopes, str):
        words = " ".join(each for each in scopes if isinstance(each, str))
        facts.add("oauth_scopes", words, f"{place}.scopes")


def _table(document: Document, key: str) -> Document:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _at(document: object, path: str) -> object:
    """Return what stands at the dotted *path*; None for nothing."""
    found = document
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found
