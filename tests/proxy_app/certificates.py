"""Certificates for tests of TLS: an authority of the test's own, and what it (or nobody) has signed."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Signs certificates for 127.0.0.1; writes them below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of a test")])
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        own = self._builder(self._name, self._key, 1).add_extension(constraints, critical=True).sign(self._key, hashes.SHA256())
        self.path = folder / "authority.pem"
        self.path.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def trusting(self) -> ssl.SSLContext:
        """What a client needs to believe this authority, and no other."""
        return ssl.create_default_context(cafile=str(self.path))

    def server(self, address: str = "127.0.0.1", *, days: int = 1, signed: bool = True) -> ssl.SSLContext:
        """A server's context; its certificate is for `address`, and out of date with negative `days`."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = self._name if signed else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nobody")])
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
        certificate = (
            self._builder(name, key, days)
            .add_extension(names, critical=False)
            .sign(self._key if signed else key, hashes.SHA256())
        )
        path = self._folder / f"server-{address}-{days}-{signed}.pem"
        plain = serialization.NoEncryption()
        pem, traditional = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
        path.write_bytes(key.private_bytes(pem, traditional, plain) + certificate.public_bytes(pem))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _builder(self, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
        end = datetime.now(UTC) + timedelta(days=days)
        subject = issuer if issuer != self._name or key is self._key else x509.Name([])
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        return made.serial_number(x509.random_serial_number()).not_valid_before(end - timedelta(days=2)).not_valid_after(end)
