"""Certificates for Ray's own traffic: an authority of one's own, and one certificate for all nodes.

Ray checks that the certificate names the address it has connected to, so it names every machine of
a cluster.yaml. The authority's key stays here.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UsageError
from orchestrator.storage.atomic import storage_errors

if TYPE_CHECKING:
    from cryptography import x509

#: How long certificates are good for.
_DAYS = 365

#: What every machine calls itself.
_ALWAYS = ("127.0.0.1", "localhost")


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """The certificates of one cluster."""

    #: Folder that they lie in; only the user may read it.
    folder: Path

    @classmethod
    def of(cls, cluster_name: str) -> Certificates:
        """Return those of a cluster, which may not be there yet."""
        return cls(folder=Path.home() / ".ray" / "tls" / cluster_name)

    @property
    def authority(self) -> Path:
        """Certificate of the authority."""
        return self.folder / "ca.crt"

    @property
    def authority_key(self) -> Path:
        """Key of the authority; it is not sent anywhere."""
        return self.folder / "ca.key"

    @property
    def certificate(self) -> Path:
        """Certificate of all nodes."""
        return self.folder / "node.crt"

    @property
    def key(self) -> Path:
        """Key of all nodes."""
        return self.folder / "node.key"

    def shipped(self) -> tuple[Path, ...]:
        """Return the files that every node gets."""
        return self.authority, self.certificate, self.key

    def make(self, hosts: Iterable[str], *, now: datetime) -> None:
        """Make all of them anew.

        Args:
            hosts: Addresses and names that the nodes are reached at.
            now: The time that they are good from.

        Raises:
            UnavailableError: The folder can't be written.
        """
        from cryptography.hazmat.primitives.asymmetric import ec

        root_key = ec.generate_private_key(ec.SECP256R1())
        root = _signed("launch-job authority", root_key, root_key, None, now=now, hosts=())
        node_key = ec.generate_private_key(ec.SECP256R1())
        names = (*_ALWAYS, *hosts)
        node = _signed("launch-job node", node_key, root_key, root, now=now, hosts=names)
        with storage_errors(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
        for path, content in (
            (self.authority, _pem(root)),
            (self.authority_key, _key_pem(root_key)),
            (self.certificate, _pem(node)),
            (self.key, _key_pem(node_key)),
        ):
            _write_private(path, content)

    def check(self, hosts: Iterable[str], *, now: datetime) -> None:
        """Make sure that they are there, still good, and name all hosts.

        Raises:
            UsageError: They don't.
        """
        again = "`launch-job cluster certs` makes them."
        if not all(path.is_file() for path in self.shipped()):
            raise UsageError(f"There are no certificates in {self.folder}.", hint=again)
        from cryptography import x509

        with storage_errors(self.certificate):
            node = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        if node.not_valid_after_utc <= now:
            raise UsageError(f"The certificate {self.certificate} has expired.", hint=again)
        names = _names(node)
        if missing := [host for host in hosts if host not in names]:
            raise UsageError(
                f"The certificate {self.certificate} does not name {missing[0]}.", hint=again
            )


def _signed(
    name: str,
    key: Any,
    signer: Any,
    issuer: x509.Certificate | None,
    *,
    now: datetime,
    hosts: Iterable[str],
) -> x509.Certificate:
    """Return a certificate; one without an issuer is an authority's."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # The clocks of machines differ a little.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if names := [_general_name(host) for host in hosts]:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _general_name(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _names(certificate: x509.Certificate) -> set[str]:
    from cryptography import x509

    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in found}


def _pem(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _key_pem(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem


def _write_private(path: Path, content: bytes) -> None:
    """Write a file that only the user may read, from its first byte on."""
    beside = path.with_name(f".{path.name}")
    with storage_errors(path):
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(beside, path)


def make_certificates(cluster_name: str, hosts: Iterable[str]) -> Certificates:
    """Make the certificates of a cluster, in place of those that it may have."""
    made = Certificates.of(cluster_name)
    made.make(hosts, now=datetime.now(UTC))
    return made
