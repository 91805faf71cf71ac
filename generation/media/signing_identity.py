"""The identity that signs clips: the operator's certificate, or one generated at the first start."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from generation.errors import EncodeFailed
from generation.media.files import explain_os_error, sync_folder

_YEARS = 10
_CHAIN, _KEY = "chain.pem", "key.pem"


@dataclass(frozen=True, slots=True)
class Identity:
    """`chain` holds the signing certificate and its issuers as PEM; `root` is the last of them."""

    chain: str
    key: str = field(repr=False)
    algorithm: str

    @property
    def root(self) -> str:
        header = "-----BEGIN CERTIFICATE-----"
        return header + self.chain.rpartition(header)[2]


def load_identity(chain: Path, key: Path) -> Identity:
    """Load the operator's own certificate and key."""
    try:
        secret = key.read_text()
        return Identity(chain.read_text(), secret, _algorithm(secret))
    except (OSError, ValueError, KeyError) as error:
        raise EncodeFailed("mark", f"certificate: {error}") from error


def load_or_create_identity(folder: Path) -> Identity:
    """The identity in the data folder's `identity`, created once for all processes if there is none."""
    home = folder / "identity"
    try:
        if not (home / _KEY).exists():
            _create_identity(home)
    except OSError as error:
        raise explain_os_error(error, folder, "mark") from error
    return load_identity(home / _CHAIN, home / _KEY)


def _algorithm(key: str) -> str:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  (only on start)
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519  # noqa: PLC0415  (as above)

    private = serialization.load_pem_private_key(key.encode(), password=None)
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return {256: "es256", 384: "es384", 521: "es512"}[private.curve.key_size]
    return "ed25519" if isinstance(private, ed25519.Ed25519PrivateKey) else "ps256"


def _create_identity(home: Path) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=".identity-", dir=home.parent))
    try:
        chain, key = _generate_certificates()
        _write(temporary / _CHAIN, chain, 0o644)
        _write(temporary / _KEY, key, 0o600)
        sync_folder(temporary)
        temporary.rename(home)
        sync_folder(home.parent)
    except FileExistsError:
        pass  # another process was faster; its identity is used
    except OSError:
        if not (home / _KEY).exists():
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _generate_certificates() -> tuple[bytes, bytes]:
    """Create a root that signs one certificate; its key is discarded, so that it cannot sign another."""
    from cryptography import x509  # noqa: PLC0415  (only on first start)
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415  (as above)
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415  (as above)
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: PLC0415  (as above)

    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    today = dt.datetime.now(dt.UTC)

    def subject_name(common: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "A Matinee studio"),
                x509.NameAttribute(NameOID.COMMON_NAME, common),
            ]
        )

    def certificate(
        subject: str, public: ec.EllipticCurvePublicKey, *, root: bool
    ) -> x509.CertificateBuilder:
        usage = x509.KeyUsage(
            digital_signature=not root,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=root,
            crl_sign=root,
            encipher_only=False,
            decipher_only=False,
        )
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject_name(subject))
            .issuer_name(subject_name("Matinee root"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(today - dt.timedelta(days=1))
            .not_valid_after(today + dt.timedelta(days=365 * _YEARS))
            .add_extension(x509.BasicConstraints(ca=root, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(issuer, critical=False)
        )

    leaf = certificate("Matinee clips", key.public_key(), root=False).add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
    )
    root = certificate("Matinee root", root_key.public_key(), root=True)
    chain = [signed.sign(root_key, hashes.SHA256()) for signed in (leaf, root)]
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in chain), secret
