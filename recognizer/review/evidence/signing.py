"""Signatures of cases: Ed25519, by the package ``cryptography``.

A case may have to be checked years later, in an office without a network. Sigstore's signatures
need an identity provider and a transparency log when they are made; an Ed25519 key is a file, made
with ``openssl genpkey -algorithm ed25519 -out key.pem``, and its signatures can be checked by any
program, for instance ``openssl pkeyutl -verify -rawin``.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from recognizer.errors import UsageError

_HOWTO = "make one with: openssl genpkey -algorithm ed25519 -out key.pem"


def sign(content: bytes, key: Path) -> tuple[bytes, bytes]:
    """Sign something with the private key in a PEM file.

    Returns:
        The signature, in Base64 with a newline, and the public key as PEM.

    Raises:
        UsageError: the file holds no such key, or one with a passphrase.
    """
    try:
        private = load_pem_private_key(key.read_bytes(), password=None)
    except OSError as error:
        raise UsageError(f"{key} cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError) as error:
        raise UsageError(f"{key} is not a private key without a passphrase; {_HOWTO}") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise UsageError(f"{key} is not an Ed25519 key; {_HOWTO}")
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(private.sign(content)) + b"\n", public


def is_signed(content: bytes, signature: bytes, public_key: Ed25519PublicKey) -> bool:
    """Whether a signature, in Base64, is that of a key over the content."""
    try:
        public_key.verify(base64.b64decode(signature.strip(), validate=True), content)
    except (InvalidSignature, ValueError):
        return False
    return True


def load_public_key(path: Path) -> tuple[Ed25519PublicKey, str]:
    """Load a public key from a PEM file, and return it with its fingerprint.

    The fingerprint is the sha256 of the key in DER form, as ``openssl pkey -pubin -outform DER``
    writes it.

    Raises:
        UsageError: the file holds no such key.
    """
    try:
        public = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{path} is not a public key in PEM form") from error
    if not isinstance(public, Ed25519PublicKey):
        raise UsageError(f"{path} is not an Ed25519 key")
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return public, hashlib.sha256(der).hexdigest()
