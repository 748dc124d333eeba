"""Certificates of a connection, from the configuration."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError
from ..config.models import Tls


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Absolute paths of the files of `Tls`; None: not given."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None

    @classmethod
    def of(cls, tls: Tls, folder: Path) -> TlsFiles:
        """With paths below a folder."""

        def place(path: str | None) -> str | None:
            return None if path is None else os.path.normpath(folder / Path(path).expanduser())

        return cls(place(tls.ca), place(tls.certificate), place(tls.key))

    def context(self) -> ssl.SSLContext:
        """A context that verifies the server and its name. Raises InputError for files that cannot be used."""
        try:
            context = ssl.create_default_context(cafile=self.ca)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.certificate is not None:
                # An empty password: a key with one must not ask for it at a terminal.
                context.load_cert_chain(self.certificate, self.key, password="")
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            files = ", ".join(path for path in (self.ca, self.certificate, self.key) if path)
            raise InputError(
                "site-certificate",
                f"The certificates cannot be used ({error}): {files or 'those of the system'}",
                required="PEM files, the key without a password",
                next_step="check the files and their permissions",
            ) from None
        return context
