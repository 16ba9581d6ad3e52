"""One module per family of TLS stacks; each has `start(panel)`."""
from . import gnutls, node, openssl102, others, tlslite, web

STACKS = [gnutls, node, openssl102, others, tlslite, web]
