# SPDX-License-Identifier: Apache-2.0
"""A certificate authority of our own, made anew for each run, and server contexts with its certificates."""

import datetime
import ipaddress
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Issues certificates; `ca_file` is what a client has to trust."""

    def __init__(self, folder):
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Posthorn test authority")])
        self._certificate = self._sign(self._name, self._key.public_key(), [], ca=True)
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        self._count = 0

    def _sign(self, subject, public_key, names, ca=False, days=(-1, 30)):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=days[0]))
            .not_valid_after(now + datetime.timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def self_signed(self, name):
        """A server context with this authority's key and a certificate that nobody else signed."""
        alternative = x509.IPAddress(ipaddress.ip_address(name))
        certificate = self._sign(self._name, self._key.public_key(), [alternative])
        return context_of(self._write(certificate, self._key))

    def file(self, *names, days=(-1, 30)):
        """A file with a certificate for these host names or addresses, signed by this authority, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = []
        for name in names:
            try:
                alternatives.append(x509.IPAddress(ipaddress.ip_address(name)))
            except ValueError:
                alternatives.append(x509.DNSName(name))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        return self._write(self._sign(subject, key.public_key(), alternatives, days=days), key)

    def _write(self, certificate, key):
        self._count += 1
        path = self._folder / f"server-{self._count}.pem"
        path.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return path

    def context(self, *names, days=(-1, 30), alpn=None):
        """A server context with such a certificate."""
        return context_of(self.file(*names, days=days), alpn)


def context_of(path, alpn=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    if alpn:
        context.set_alpn_protocols(alpn)
    return context
