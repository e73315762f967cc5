"""The keys of a small cluster: an authority, what it signs, and the ServiceAccount token key."""

import base64
import datetime as dt
import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = dt.timedelta(days=2)  # longer than a test run
CLOCK_SLACK = dt.timedelta(minutes=5)

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, both in PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """A certificate authority that exists in memory only."""

    def __init__(self) -> None:
        """Make a new key and sign it with itself."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = distinguished_name("exabgp-metallb test authority")
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
        )
        self._certificate = builder.sign(self._key, hashes.SHA256())

    @property
    def certificate(self) -> bytes:
        """The authority's own certificate in PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def server(self, names: Sequence[str]) -> Pair:
        """Sign a server's certificate for DNS names and addresses."""
        alternatives = x509.SubjectAlternativeName([general_name(name) for name in names])
        return self._issue(names[0], "", alternatives, ExtendedKeyUsageOID.SERVER_AUTH)

    def client(self, user: str, group: str) -> Pair:
        """Sign a client's certificate: Kubernetes reads CN as the user and O as a group."""
        return self._issue(user, group, None, ExtendedKeyUsageOID.CLIENT_AUTH)

    def _issue(
        self,
        common_name: str,
        organization: str,
        alternatives: x509.SubjectAlternativeName | None,
        usage: x509.ObjectIdentifier,
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(distinguished_name(common_name, organization), key)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if alternatives:
            builder = builder.add_extension(alternatives, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return Pair(certificate.public_bytes(serialization.Encoding.PEM), private_pem(key))

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SLACK)
            .not_valid_after(now + LIFETIME)
            .add_extension(own, critical=False)
            .add_extension(issuer, critical=False)
        )


class TokenKey:
    """The RSA key that a kube-apiserver signs and checks ServiceAccount tokens with."""

    def __init__(self) -> None:
        """Make a new key."""
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def pem(self) -> bytes:
        """The private key in PEM."""
        return private_pem(self._key)

    def sign(self, claims: dict[str, Any]) -> str:
        """Return a JSON Web Token (RFC 7519) of the claims, signed with RS256."""
        header = {"alg": "RS256", "typ": "JWT"}
        signed = b".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
        signature = self._key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        return b".".join([signed, base64url(signature)]).decode()


def distinguished_name(common_name: str, organization: str = "") -> x509.Name:
    """Return an X.509 name of a CN and, unless it is empty, an O."""
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


def general_name(name: str) -> x509.GeneralName:
    """Return the subject alternative name for an address or a DNS name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def private_pem(key: PrivateKey) -> bytes:
    """Return a private key in PEM, in the form (PKCS#1, SEC1) that Kubernetes reads."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def base64url(data: bytes) -> bytes:
    """Encode as JSON Web Tokens do: the URL alphabet without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")
