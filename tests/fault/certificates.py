# SPDX-License-Identifier: BSD-3-Clause
"""Good and bad server certificates, made on the fly by the openssl command, and contexts that present them."""
import pathlib
import ssl
import subprocess
import warnings

NAME = "*.endpoint.test"
CHAIN_COPIES = 400      # of one certificate: a chain several times larger than a client has to take (100 KB)
KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


class Certificates:
    """In a folder of the caller's: an authority, `ca_file` for the service to trust, and a context per fault."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.ca_file = self.authority("ca")
        self.authority("stranger")

    def openssl(self, *arguments):
        subprocess.run(["openssl", *map(str, arguments)], cwd=self.folder, check=True, capture_output=True)

    def authority(self, name):
        self.openssl("req", "-x509", *KEY, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", "-days", 2)
        return self.folder / f"{name}.pem"

    def leaf(self, name, *, names=f"DNS:{NAME}", signer="ca", days=2, digest="sha256"):
        """Returns the file that holds the certificate and its key; signer None: by itself."""
        files = {end: self.folder / f"{name}.{end}" for end in ("key", "csr", "pem", "ext")}
        files["ext"].write_text(f"subjectAltName={names}\n")
        if signer is None:
            self.openssl("req", "-x509", *KEY, "-keyout", files["key"], "-out", files["pem"], "-subj", "/CN=x", "-days", days,
                         "-addext", f"subjectAltName={names}")
        else:
            self.openssl("req", *KEY, "-keyout", files["key"], "-out", files["csr"], "-subj", "/CN=x")
            self.openssl("x509", "-req", "-in", files["csr"], "-CA", f"{signer}.pem", "-CAkey", f"{signer}.key", "-days", days,
                         "-out", files["pem"], "-extfile", files["ext"], f"-{digest}")
        whole = self.folder / f"{name}.both"
        whole.write_text(files["pem"].read_text() + files["key"].read_text())
        return whole

    def context(self, leaf="good", *, least=None, most=None, weak=False, sni=None, wants_client=False, copies=0, **options):
        whole = self.folder / f"{leaf}.both"
        if not whole.exists():
            self.leaf(leaf, **options)
        text = whole.read_text()
        if copies:
            whole = self.folder / f"{leaf}.chain"
            whole.write_text(text + (self.folder / "ca.pem").read_text() * copies)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if weak:
            context.set_ciphers("ALL:@SECLEVEL=0")
        context.load_cert_chain(whole)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")     # old versions are what is wanted here
            if least:
                context.minimum_version = least
            if most:
                context.maximum_version = most
        if sni:
            context.sni_callback = lambda *_: sni
        if wants_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.folder / "stranger.pem")
        return context
