#!/usr/bin/env python3
"""The metadata services of clouds, which can't be started here, as their documentation describes them.

metadata.py CLOUD LOG COMMAND…: binds 169.254.169.254:80, runs COMMAND beside it and ends with its exit code. Every request
is written to LOG, one line each: method, path and the names of its fields.

aws, aws-v1 (a token is not asked for): docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
azure: learn.microsoft.com/azure/virtual-machines/instance-metadata-service
gcp: cloud.google.com/compute/docs/metadata/querying-metadata
oracle: docs.oracle.com/iaas/Content/Compute/Tasks/gettingmetadata.htm
openstack: docs.openstack.org/nova/latest/user/metadata.html
hetzner: docs.hetzner.cloud, digitalocean: docs.digitalocean.com/reference/api/metadata-api, vultr: vultr.com/metadata"""
import http.server
import json
import secrets
import subprocess
import sys
import threading
import time

cloud, log, command = sys.argv[1], open(sys.argv[2], "a", buffering=1), sys.argv[3:]
tokens = {}


class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body="", kind="text/plain", fields=()):
        body = body.encode()
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        if kind:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def parse_request(self):
        parsed = super().parse_request()
        if parsed:
            log.write(f"{self.command} {self.path} {' '.join(sorted(name.lower() for name in self.headers))}\n")
        return parsed

    def do_PUT(self):
        if not cloud.startswith("aws") or self.path != "/latest/api/token":
            return self.answer(405)
        # A request that came through a proxy gets no token.
        if "X-Forwarded-For" in self.headers:
            return self.answer(403)
        seconds = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if not seconds.isdigit() or not 1 <= int(seconds) <= 21600:
            return self.answer(400)
        token = secrets.token_urlsafe(40) + "=="
        tokens[token] = time.monotonic() + int(seconds)
        self.answer(200, token, fields=[("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", seconds)])

    def do_GET(self):
        path, _, query = self.path.partition("?")
        name = cloud.partition("-")[0]
        getattr(self, name)(path, dict(p.partition("=")[::2] for p in query.split("&") if p))

    def aws(self, path, _):
        token = self.headers.get("X-aws-ec2-metadata-token")
        if token is None and cloud != "aws-v1" or token is not None and tokens.get(token, 0) < time.monotonic():
            return self.answer(401, "<html>401 - Unauthorized</html>", "text/html")
        found = {"/latest/meta-data/placement/region": "eu-central-1", "/latest/meta-data/placement/availability-zone": "eu-central-1b"}
        self.plain(found, path)

    def azure(self, path, query):
        if self.headers.get("Metadata") != "true" or "X-Forwarded-For" in self.headers:
            return self.answer(400, json.dumps({"error": "Bad request. Required metadata header not specified"}), "application/json")
        if "api-version" not in query:
            return self.answer(400, json.dumps({"error": "Bad request. api-version was not specified in the request"}), "application/json")
        found = {"/metadata/instance/compute/location": "germanywestcentral", "/metadata/instance/compute/zone": "2"}
        if query.get("format") != "text":
            return self.answer(400, json.dumps({"error": "Bad request"}), "application/json")
        self.plain(found, path)

    def gcp(self, path, _):
        mark = [("Metadata-Flavor", "Google"), ("Server", "Metadata Server for VM")]
        if self.headers.get("Metadata-Flavor") != "Google" or "X-Forwarded-For" in self.headers:
            return self.answer(403, "Missing Metadata-Flavor:Google header.", "text/html", mark)
        if path != "/computeMetadata/v1/instance/zone":
            return self.answer(404, "", "text/html", mark)
        self.answer(200, "projects/123456789012/zones/europe-west3-a", "application/text", mark)

    def oracle(self, path, _):
        if self.headers.get("Authorization") != "Bearer Oracle":
            return self.answer(403)
        found = {"/opc/v2/instance/canonicalRegionName": "eu-frankfurt-1", "/opc/v2/instance/availabilityDomain": "EMIr:EU-FRANKFURT-1-AD-1"}
        self.plain(found, path)

    def openstack(self, path, _):
        if path != "/openstack/latest/meta_data.json":
            return self.answer(404)
        self.answer(200, json.dumps({"uuid": "83679162-1378-4288-a2d4-70e13ec132aa", "availability_zone": "nova", "public_keys": {"me": "ssh-rsa AAAA"}}), "application/json")

    def hetzner(self, path, _):
        self.plain({"/hetzner/v1/metadata/region": "eu-central", "/hetzner/v1/metadata/availability-zone": "fsn1-dc14"}, path)

    def digitalocean(self, path, _):
        self.plain({"/metadata/v1/region": "fra1"}, path)

    def vultr(self, path, _):
        self.plain({"/v1/region/regioncode": "FRA"}, path)

    def plain(self, found, path):
        self.answer(200, found[path]) if path in found else self.answer(404)


server = http.server.ThreadingHTTPServer(("169.254.169.254", 80), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.exit(subprocess.run(command).returncode)
