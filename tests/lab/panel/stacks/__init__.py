"""One module per family of TLS stacks; each has `start(panel)`."""
from . import gnutls, node, openssl102, tlslite

STACKS = [gnutls, node, openssl102, tlslite]
