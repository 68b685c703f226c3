"""A small JSON client for one API server: TLS verified, one kept-alive connection per thread."""
from __future__ import annotations

import http.client
import json
import ssl
import threading
import urllib.parse


class ApiError(Exception):
    def __init__(self, status, method, path, message):
        super().__init__(f"{method} {path}: {status} {message}")
        self.status = status


class Kube:
    def __init__(self, server, token, ca):
        """`ca` is the PEM text of the authority that signed the server's certificate."""
        self.server, self.token = server, token
        self._context = ssl.create_default_context(cadata=ca)
        self._local = threading.local()
        self._resources = {}

    def request(self, method, path, body=None, content_type="application/json"):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": "Bearer " + self.token, "Content-Type": content_type, "Accept": "application/json"}
        for attempt in (1, 2):
            connection = getattr(self._local, "connection", None)
            fresh = connection is None
            if fresh:
                host = urllib.parse.urlparse(self.server).netloc
                connection = self._local.connection = http.client.HTTPSConnection(host, timeout=10, context=self._context)
            try:
                connection.request(method, path, data, headers)
                response = connection.getresponse()
                answer = response.read()
                break
            except (OSError, http.client.HTTPException):
                connection.close()
                self._local.connection = None
                if fresh or attempt == 2:
                    raise
        if response.status >= 400:
            raise ApiError(response.status, method, path, answer.decode(errors="replace")[:400])
        return json.loads(answer) if answer.startswith(b"{") else answer.decode()

    def get(self, path):
        return self.request("GET", path)

    def list(self, path):
        # resourceVersion=0 is answered from the server's cache and does not touch etcd
        return self.get(path + ("&" if "?" in path else "?") + "resourceVersion=0").get("items") or []

    def create(self, item):
        """Creates any object; an object that exists already is left as it is."""
        try:
            return self.request("POST", self.collection(item), item)
        except ApiError as error:
            if error.status != 409:
                raise

    def collection(self, item):
        version, kind = item["apiVersion"], item["kind"]
        base = ("/apis/" if "/" in version else "/api/") + version
        if version not in self._resources:
            self._resources[version] = {r["kind"]: r for r in self.get(base)["resources"] if "/" not in r["name"]}
        resource = self._resources[version].get(kind)
        if resource is None:
            del self._resources[version]  # a CRD made a moment ago may show up at the next look
            raise ApiError(404, "GET", base, f"no kind {kind}")
        namespace = item["metadata"].get("namespace", "default")
        return f"{base}/namespaces/{namespace}/{resource['name']}" if resource["namespaced"] else f"{base}/{resource['name']}"
