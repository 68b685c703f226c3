#!/usr/bin/env python3
"""Records fields.json: what a real kube-apiserver stores, owns and refuses, operation by operation.

usage: fields.py BED_JSON > fields.json

BED_JSON is the line of a fresh `bed.py up --stay --clusters one:kubernetes`. The controllers of that cluster are stopped
meanwhile (SIGSTOP), so that nobody but these operations writes. What the operations are stands in operations.py.
"""
from __future__ import annotations

import copy
import email.utils
import http.client
import json
import os
import pathlib
import signal
import ssl
import sys
import time
import urllib.parse

import operations

QUIET = ("kube-controller-manager", "kube-scheduler", "kwok")


class Server:
    def __init__(self, cluster):
        self.host, self.token = urllib.parse.urlparse(cluster["server"]).netloc, cluster["adminToken"]
        self.resources, self.clock = {}, ""

    def request(self, method, path, body=None, content_type="application/json"):
        """Status code and decoded answer."""
        connection = http.client.HTTPSConnection(self.host, timeout=10, context=ssl._create_unverified_context())
        headers = {"Authorization": "Bearer " + self.token, "Content-Type": content_type, "Accept": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body).encode(), headers)
        response = connection.getresponse()
        self.clock = email.utils.parsedate_to_datetime(response.headers["Date"]).strftime("%Y-%m-%dT%H:%M:%SZ")
        return response.status, json.loads(response.read())

    def path(self, item):
        """Collection and object path of an object."""
        version, kind = item["apiVersion"], item["kind"]
        base = ("/apis/" if "/" in version else "/api/") + version
        if version not in self.resources or kind not in self.resources[version]:
            listed = self.request("GET", base)[1]["resources"]
            self.resources[version] = {r["kind"]: r for r in listed if "/" not in r["name"]}
        resource = self.resources[version][kind]
        space = f"/namespaces/{item['metadata'].get('namespace', operations.NAMESPACE)}" if resource["namespaced"] else ""
        collection = f"{base}{space}/{resource['name']}"
        return collection, collection + "/" + item["metadata"]["name"]


class Recorder:
    def __init__(self, server):
        self.server, self.steps, self.schemas, self.surprises = server, [], {}, []

    def run(self, step):
        if step["verb"] == "pause":
            time.sleep(1.1)
            return
        item = step["object"]
        collection, path = self.server.path(item)
        status, live = self.server.request("GET", path)
        live = live if status == 200 else None
        target = path + ("/" + step["subresource"] if step["subresource"] else "")
        query = "?" + urllib.parse.urlencode({"fieldManager": step["manager"], "fieldValidation": "Ignore"})
        record = {"name": step["name"], "group": item["apiVersion"].rpartition("/")[0], "kind": item["kind"], "live": self.known(live)}
        verb = step["verb"]
        if verb == "create":
            operation, sent = "update", copy.deepcopy(item)
            code, answer = self.server.request("POST", collection + query, sent)
        elif verb == "apply":
            operation, sent = "apply", item
            force = "&force=true" if step["force"] else ""
            code, answer = self.server.request("PATCH", target + query + force, step.get("body", item), "application/apply-patch+yaml")
        else:
            operation, sent = "update", self.patched(live, step)
            if verb == "put":
                code, answer = self.server.request("PUT", target + query, sent)
            else:
                kind = "application/merge-patch+json" if verb == "merge" else "application/json-patch+json"
                code, answer = self.server.request("PATCH", target + query, step["patch"], kind)
        clock = self.server.clock
        record |= {"operation": operation, "object": sent, "force": step["force"]}
        if code >= 300:
            if not step["refused"]:
                self.surprises.append(f"{step['name']}: {code} {answer.get('message')}")
            record["refused"] = {"code": code, "message": answer["message"], "causes": answer.get("details", {}).get("causes", [])}
            moment = clock
        else:
            if step["refused"]:
                self.surprises.append(f"{step['name']}: the server takes it, although it should not")
            record["stored"] = answer if step["subresource"] != "scale" else self.server.request("GET", path)[1]
            moment = moment_of(live, record["stored"]) or clock
        record["writer"] = {"manager": step["manager"], "apiVersion": item["apiVersion"], "subresource": step["subresource"], "time": moment}
        if item["apiVersion"].split("/")[0].endswith("example.com"):
            record["schema"] = item["kind"]
        if not step.get("unrecorded"):
            self.steps.append(record)
        if item["kind"] == "CustomResourceDefinition" and code < 300 and live is None:
            self.established(path, answer)

    def known(self, live):
        """A live object; where a step stored it, the number of that step."""
        return next((at for at, step in enumerate(self.steps) if live and step.get("stored") == live), live)

    def established(self, path, definition):
        for _ in range(100):
            definition = self.server.request("GET", path)[1]
            if any(c["type"] == "Established" and c["status"] == "True" for c in definition["status"].get("conditions") or []):
                break
            time.sleep(0.05)
        version = definition["spec"]["versions"][0]
        self.schemas[definition["spec"]["names"]["kind"]] = version["schema"]["openAPIV3Schema"]
        time.sleep(1.5)  # the handler and the discovery document follow a moment later

    @staticmethod
    def patched(live, step):
        """The object that the server makes of the live one and the request, before its defaults."""
        if step["verb"] == "put":
            return step["edit"](copy.deepcopy(live))
        if step["verb"] == "merge":
            return merge(copy.deepcopy(live), step["patch"])
        return json_patch(copy.deepcopy(live), step["patch"])


def moment_of(live, stored):
    """When the server took the operation: the time that only the stored object's entries have; None where it wrote none."""
    times = lambda item: {e.get("time") or "" for e in ((item or {}).get("metadata") or {}).get("managedFields", [])}  # noqa: E731
    return max(times(stored) - times(live), default=None)


def merge(target, patch):
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    target = target if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = merge(target.get(key), value)
    return target


def json_patch(target, patch):
    """RFC 6902: add, remove and replace."""
    for step in patch:
        *parents, last = [p.replace("~1", "/").replace("~0", "~") for p in step["path"].split("/")[1:]]
        holder = target
        for part in parents:
            holder = holder[int(part)] if isinstance(holder, list) else holder[part]
        if isinstance(holder, list):
            last = len(holder) if last == "-" else int(last)
            if step["op"] == "add":
                holder.insert(last, step["value"])
            elif step["op"] == "remove":
                del holder[last]
            else:
                holder[last] = step["value"]
        elif step["op"] == "remove":
            del holder[last]
        else:
            holder[last] = step["value"]
    return target


def main():
    bed = json.loads(pathlib.Path(sys.argv[1]).read_text())
    cluster = next(iter(bed["clusters"].values()))
    pids = [cluster["pids"][name] for name in QUIET if name in cluster["pids"]]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    recorder = Recorder(Server(cluster))
    try:
        for step in operations.steps():
            recorder.run(step)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    if recorder.surprises:
        raise SystemExit("fields.py: the server does not do what operations.py says:\n" + "\n".join(recorder.surprises))
    line = lambda value: json.dumps(value, separators=(",", ":"), sort_keys=True)  # noqa: E731
    steps = ",\n".join(line(step) for step in recorder.steps)
    print(f'{{"schemas":{line(recorder.schemas)},\n"steps":[\n{steps}\n]}}')


main()
