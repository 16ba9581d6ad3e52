"""One module per family of TLS stacks; each has `start(panel)`."""
from . import certificates, gnutls, misbehave, node, openssl102, others, starttls, tlslite, web

STACKS = [starttls, gnutls, node, openssl102, others, tlslite, web, misbehave, certificates]
