"""Secrets at rest: the text and hash of access keys, sealed Bedrock keys, hashed passwords.

Knows no table and no request. Invariant: nothing stored can be turned back without a secret that is not in the database,
and a sealed value opens only for the row that it was sealed for.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import bcrypt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.cache import Cache
from core.settings import BadSettings, Settings

if TYPE_CHECKING:
    from core.local_files import LocalSecrets

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ACCESS_KEY = re.compile(r"ak_[0-9A-Za-z]{44}")
_API_TOKEN = re.compile(r"cpt_[0-9A-Za-z]{44}")
_APP, _TABLE = "claude-code-proxy", "bedrock_keys"
_NONCE_BYTES = 12
_LOCAL_VERSION, _KMS_VERSION = b"\x01", b"\x02"
_KMS_AWAY = frozenset({"ThrottlingException", "DependencyTimeoutException", "KMSInternalException", "KeyUnavailableException"})
_PREHASHED = "sha384:"
_BCRYPT_BYTES = 72


def new_access_key() -> str:
    """`ak_`, 38 random characters (226 bits) and 6 of checksum: SPEC section 8."""
    body = "ak_" + "".join(secrets.choice(_BASE62) for _ in range(38))
    return body + _checksum(body)


def derived_access_key(server_secret: str, *of: str) -> str:
    """As a new one, but always the same of the same texts: as hard to guess as the server secret and these together."""
    number = int.from_bytes(hmac.digest(server_secret.encode(), "|".join(("access key", *of)).encode(), "sha512"))
    digits = []
    for _ in range(38):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    body = "ak_" + "".join(digits)
    return body + _checksum(body)


def is_wellformed(text: str) -> bool:
    """Whether pattern and checksum are right. Spares the database guesses and typing errors; proves nothing."""
    return _ACCESS_KEY.fullmatch(text) is not None and text[41:] == _checksum(text[:41])


def hash_access_key(server_secret: str, text: str) -> str:
    """What is stored and looked up in a key's place: HMAC-SHA256, 64 hex digits."""
    return hmac.digest(server_secret.encode(), text.encode(), "sha256").hex()


def new_claim_token() -> str:
    """128 random bits, 22 characters that need no escape in a URL."""
    return secrets.token_urlsafe(16)


def hash_claim_token(server_secret: str, token: str) -> str:
    """What is stored in a token's place. Never equal to an access key's hash."""
    return hmac.digest(server_secret.encode(), b"claim|" + token.encode(), "sha256").hex()


def new_api_token() -> str:
    """`cpt_`, then as an access key: 38 random characters and 6 of checksum."""
    body = "cpt_" + "".join(secrets.choice(_BASE62) for _ in range(38))
    return body + _checksum(body)


def is_wellformed_api_token(text: str) -> bool:
    return _API_TOKEN.fullmatch(text) is not None and text[42:] == _checksum(text[:42])


def new_session_token() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def hash_admin_secret(server_secret: str, kind: str, text: str) -> str:
    """What is stored in the place of a session's token, an API token or a recovery code (`kind`): 64 hex digits.

    Only for texts of 112 random bits and more: it is fast.
    """
    return hmac.digest(server_secret.encode(), f"{kind}|{text}".encode(), "sha256").hex()


def hash_password(password: str, rounds: int = 12) -> str:
    """bcrypt over a digest, so that every byte counts (bcrypt itself refuses more than 72). 0.25 s: in a NativeThread."""
    return _PREHASHED + bcrypt.hashpw(_digest(password), bcrypt.gensalt(rounds)).decode()


def check_password(password: str, stored: str) -> bool:
    """For hashes of ours, and plain `$2b$` ones made elsewhere. As slow as hashing: in a NativeThread."""
    given = _digest(password) if stored.startswith(_PREHASHED) else password.encode()
    try:
        is_equal = bcrypt.checkpw(given[:_BCRYPT_BYTES], stored.removeprefix(_PREHASHED).encode())
    except ValueError:  # not a hash at all
        return False
    return is_equal and len(given) <= _BCRYPT_BYTES  # a plain hash knows no more; refused as slowly as anything wrong


def stand_in_hash(like: str) -> str:
    """A hash that no password has, as slow to check as `like`: for a name that nobody has."""
    cost = re.match(r"\$2[aby]\$\d\d\$", like.removeprefix(_PREHASHED))
    return (cost[0] if cost else "$2b$12$") + "." * 53


class CannotOpen(Exception):
    """What is sealed cannot be opened: altered, of another row, or sealed with another key."""


class VaultAway(CannotOpen):
    """KMS does not answer; later it may."""


class Vault(Protocol):
    """Seals short secrets for one row each. Both methods may block on the network; never call them in a transaction."""

    def seal(self, plaintext: str, row_id: str) -> bytes:
        """Raises VaultAway."""

    def open(self, sealed: bytes, row_id: str) -> str:
        """Raises CannotOpen, VaultAway."""


class LocalVault:
    """AES-256-GCM with a key file, where there is no KMS. Sealed: version, nonce, ciphertext with its tag."""

    def __init__(self, key: bytes, table: str = _TABLE) -> None:
        self._key = key
        self._table = table

    def seal(self, plaintext: str, row_id: str) -> bytes:
        return _LOCAL_VERSION + _encrypt(self._key, plaintext, _bound_to(row_id, self._table))

    def open(self, sealed: bytes, row_id: str) -> str:
        if sealed[:1] != _LOCAL_VERSION:
            raise CannotOpen("not sealed with the local key")
        return _decrypt(self._key, sealed[1:], _bound_to(row_id, self._table))


class KmsVault:
    """AES-256-GCM with a data key of its own for every row, which KMS wraps (envelope encryption).

    Sealed: version, length of the wrapped key (2 bytes), wrapped key, nonce, ciphertext with its tag. Unwrapped keys are
    remembered for 15 min, and for 24 h while KMS is away; a KMS that answers no is obeyed at once.
    """

    FRESH_S = 900.0
    STALE_S = 86_400.0

    def __init__(self, key_id: str, client: Any, clock: Callable[[], float] = time.monotonic, capacity: int = 10_000) -> None:
        self._key_id = key_id
        self._client = client
        self._keys: Cache[tuple[bytes, str], bytes] = Cache(capacity, clock)

    def seal(self, plaintext: str, row_id: str) -> bytes:
        made = self._ask("generate_data_key", row_id, KeyId=self._key_id, KeySpec="AES_256")
        key, wrapped = bytes(made["Plaintext"]), bytes(made["CiphertextBlob"])
        self._keys.put((wrapped, row_id), key, self.FRESH_S, self.STALE_S)
        return _KMS_VERSION + len(wrapped).to_bytes(2, "big") + wrapped + _encrypt(key, plaintext, _bound_to(row_id))

    def open(self, sealed: bytes, row_id: str) -> str:
        if sealed[:1] != _KMS_VERSION:
            raise CannotOpen("not sealed with KMS")
        end = 3 + int.from_bytes(sealed[1:3], "big")
        return _decrypt(self._data_key(sealed[3:end], row_id), sealed[end:], _bound_to(row_id))

    def _data_key(self, wrapped: bytes, row_id: str) -> bytes:
        known = self._keys.get((wrapped, row_id))
        if known is not None:
            return known
        try:
            answer = self._ask("decrypt", row_id, KeyId=self._key_id, CiphertextBlob=wrapped)
        except VaultAway:
            stale = self._keys.get_stale((wrapped, row_id))
            if stale is None:
                raise
            return stale
        except CannotOpen:
            self._keys.drop((wrapped, row_id))
            raise
        key = bytes(answer["Plaintext"])
        self._keys.put((wrapped, row_id), key, self.FRESH_S, self.STALE_S)
        return key

    def _ask(self, operation: str, row_id: str, **arguments: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        context = {"app": _APP, "table": _TABLE, "row_id": row_id}
        try:
            return getattr(self._client, operation)(EncryptionContext=context, **arguments)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
            problem = VaultAway if status >= 500 or status == 429 or code in _KMS_AWAY else CannotOpen
            raise problem(f"KMS refused to {operation.replace('_', ' ')} ({code})") from None
        except BotoCoreError as error:
            raise VaultAway(f"KMS cannot be reached ({type(error).__name__})") from None


class WatchedVault:
    """Tells each time that the vault inside could not do its work."""

    def __init__(self, inner: Vault, on_failure: Callable[[], None]) -> None:
        self._inner = inner
        self._on_failure = on_failure

    def seal(self, plaintext: str, row_id: str) -> bytes:
        with self._watched():
            return self._inner.seal(plaintext, row_id)

    def open(self, sealed: bytes, row_id: str) -> str:
        with self._watched():
            return self._inner.open(sealed, row_id)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except CannotOpen:
            self._on_failure()
            raise


def open_vault(settings: Settings, local: LocalSecrets, client: Any = None) -> Vault:
    """KMS where a key is configured, else the local key file. Raises BadSettings. Does not touch the network."""
    if settings.kms_key_id:
        return KmsVault(settings.kms_key_id, client or _kms_client(settings.kms_key_id))
    if local.vault_key is None:
        raise BadSettings(["PROXY_KMS_KEY_ID: required in production"])
    return LocalVault(local.vault_key)


def open_admin_vault(server_secret: str) -> LocalVault:
    """Seals the second factors of admins. With a key made of the server secret: nobody's sign-in shall wait for KMS."""
    return LocalVault(hmac.digest(server_secret.encode(), b"vault|admins", "sha256"), table="admins")


def _kms_client(key_id: str) -> Any:
    """The region is the key's own when its address tells, else what boto3 finds in its usual places."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import NoRegionError

    timeouts = Config(connect_timeout=2, read_timeout=3, retries={"max_attempts": 2})
    region = key_id.split(":")[3] if key_id.startswith("arn:") else None
    try:
        return boto3.client("kms", region_name=region, config=timeouts)
    except NoRegionError:
        raise BadSettings(["PROXY_KMS_KEY_ID: must be the key's ARN, or AWS_REGION must say where it is"]) from None


def _checksum(body: str) -> str:
    rest = zlib.crc32(body.encode())
    digits = ""
    for _ in range(6):
        rest, digit = divmod(rest, 62)
        digits = _BASE62[digit] + digits
    return digits


def _digest(password: str) -> bytes:
    return base64.b64encode(hashlib.sha384(password.encode()).digest())


def _bound_to(row_id: str, table: str = _TABLE) -> bytes:
    return f"{_APP}|{table}|{row_id}".encode()


def _encrypt(key: bytes, plaintext: str, bound_to: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plaintext.encode(), bound_to)


def _decrypt(key: bytes, sealed: bytes, bound_to: bytes) -> str:
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to).decode()
    except (InvalidTag, ValueError) as error:
        raise CannotOpen("altered, of another row, or sealed with another key") from error
