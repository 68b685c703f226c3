"""Imaginary traffic: pods under kwok serve nothing, so what a mesh and an application would measure is computed here.

Once a second the routing objects are read from the API server, requests are sent along their weights to the pods behind
them, and the series that Istio and the application would expose are counted up. A wrong weight, selector or query
therefore shows up as a wrong verdict. Nothing is random: fractions of a request are carried over to the next second.

  GET  /metrics    for Prometheus
  GET  /state      what the emulator believes, as JSON
  POST /behaviour  {"TEXT": {"errors": 0.5, "milliseconds": 900}}: images whose tag contains TEXT; null forgets TEXT
  POST /gap        {"on": true}: /metrics is empty until {"on": false}
  POST /request    {"kind": "virtualservices", "namespace": "app", "name": "web", "headers": {}}: who answers one request,
                   and with which headers
"""
from __future__ import annotations

import http.server
import json
import sys
import threading
import time

import routes
from kube import ApiError

REQUESTS_PER_SECOND = 50
LOAD_TESTER_PER_SECOND = 5
NORMAL = {"errors": 0.001, "milliseconds": 50}
BEHAVIOUR = {"bad": {"errors": 0.5}, "slow": {"milliseconds": 900}}
ISTIO_BUCKETS = [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000]
APPLICATION_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
ONLY_USERS = "fieldSelector=" + ",".join(f"metadata.namespace!={n}" for n in ("kube-system", "kube-public", "kube-node-lease"))


# What single requests may go by: where it is, and its rules.
ROUTES = {"virtualservices": ("/apis/networking.istio.io/v1/virtualservices", routes.virtual_service),
          "httproutes": ("/apis/gateway.networking.k8s.io/v1/httproutes", routes.http_route)}


class Histogram:
    def __init__(self, bounds):
        self.bounds, self.counts, self.sum, self.count = bounds, [0] * len(bounds), 0.0, 0

    def observe(self, value, times):
        self.sum += value * times
        self.count += times
        for index, bound in enumerate(self.bounds):
            if value <= bound:
                self.counts[index] += times

    def lines(self, name, labels):
        for bound, count in zip(self.bounds, self.counts):
            yield f'{name}_bucket{{{labels},le="{bound:g}"}} {count}'
        yield f'{name}_bucket{{{labels},le="+Inf"}} {self.count}'
        yield f"{name}_sum{{{labels}}} {self.sum!r}"
        yield f"{name}_count{{{labels}}} {self.count}"


class View:
    """The cluster at one moment: who routes what, and which pods stand behind a Service."""

    def __init__(self, kube):
        def by_name(path):
            return {(i["metadata"]["namespace"], i["metadata"]["name"]): i for i in kube.list(f"{path}?{ONLY_USERS}")}

        self.services = by_name("/api/v1/services")
        self.virtual_services = by_name(ROUTES["virtualservices"][0])
        self.http_routes = by_name(ROUTES["httproutes"][0])
        self.ingresses = by_name("/apis/networking.k8s.io/v1/ingresses")
        deployments, sets = by_name("/apis/apps/v1/deployments"), by_name("/apis/apps/v1/replicasets")
        self.pods = {}
        for (namespace, name), pod in by_name("/api/v1/pods").items():
            ready = any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))
            if not ready or pod["metadata"].get("deletionTimestamp"):
                continue
            workload = owner(pod)
            if (namespace, workload) in sets:
                workload = owner(sets[namespace, workload])
                if (namespace, workload) not in deployments:
                    continue  # orphaned: being collected
            self.pods.setdefault(namespace, []).append({
                "name": name, "workload": workload or name, "tag": tag(pod["spec"]["containers"][0]["image"]),
                "labels": pod["metadata"].get("labels", {})})

    def behind(self, namespace, service):
        """The ready pods that a Service selects."""
        selector = self.services.get((namespace, service), {}).get("spec", {}).get("selector")
        return [p for p in self.pods.get(namespace, []) if selector and selector.items() <= p["labels"].items()]


def owner(item):
    return next((o["name"] for o in item["metadata"].get("ownerReferences", []) if o.get("controller")), None)


def tag(image):
    name = image.split("@")[0].rsplit("/", 1)[-1]
    return name.split(":", 1)[1] if ":" in name else "latest"


def requests(view):
    """[(source, requests a second, namespace, Service, who measures)]: who sends how much where.

    Istio measures what goes by a VirtualService, Linkerd what goes by an HTTPRoute of a Service, and nginx what goes by one
    of its Ingresses: (namespace, Ingress)."""
    flows, routed = [], set()

    def follow(source, rules, measures):
        flows.extend((source, part * REQUESTS_PER_SECOND, namespace, service, measures) for part, namespace, service in routes.shares(rules))
        routed.update((namespace, service) for rule in rules for namespace, service, _, _ in rule.to)

    for (_, name), item in view.virtual_services.items():
        follow(f"VirtualService/{name}", routes.virtual_service(item), "istio")
    for (_, name), item in view.http_routes.items():
        follow(f"HTTPRoute/{name}", routes.http_route(item), "linkerd" if routes.by_service(item) else None)
    for namespace, name, rules in routes.nginx(view.ingresses.values()):
        follow(f"Ingress/{name}", rules, (namespace, name))
    for namespace, service in view.services:
        primary, canary = (namespace, service + "-primary"), (namespace, service + "-canary")
        if primary not in view.services or canary not in view.services:
            continue
        if not {(namespace, service), primary, canary} & routed:
            flows.append((f"Service/{service}", REQUESTS_PER_SECOND, namespace, service, None))
        # A canary that no route feeds is judged by what the load tester sends.
        fed = any((to, name) == canary for _, rate, to, name, _ in flows if rate)
        if not fed and view.behind(*canary):
            flows.append(("load tester", LOAD_TESTER_PER_SECOND, *canary, None))
    return flows


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, address):
        if not isinstance(sys.exc_info()[1], OSError):  # a reader that went away is nobody's fault
            super().handle_error(request, address)


class Traffic:
    def __init__(self, kube, mesh, ended):
        """`ended` tells when the bed is shutting down and the API server may go away."""
        self.kube, self.mesh, self.ended = kube, mesh, ended
        self.lock = threading.Lock()
        self.behaviour = {text: dict(how) for text, how in BEHAVIOUR.items()}
        self.gap = False
        self.owed = {}                  # fractions carried over, by pod
        self.mesh_requests = {}         # (namespace, workload, code) -> count
        self.mesh_durations = {}        # (namespace, workload) -> Histogram
        self.application = {}           # (namespace, pod, status) -> Histogram
        self.linkerd_requests = {}      # (namespace, workload, classification) -> count
        self.linkerd_durations = {}     # (namespace, workload) -> Histogram
        self.nginx_requests = {}        # (namespace, Ingress, canary, code) -> count
        self.nginx_durations = {}       # (namespace, Ingress, canary) -> [sum, count]
        self.chooser = routes.Chooser()
        self.unavailable = {}           # (namespace, Service) -> requests that found no ready pod
        self.state = {"error": "not looked yet"}
        self.server = Server(("127.0.0.1", 0), self.handler())
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def start(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        threading.Thread(target=self.run, daemon=True).start()
        return self

    def run(self):
        before, told = time.monotonic(), None
        while not self.ended():
            time.sleep(max(0.0, before + 1 - time.monotonic()))
            now = time.monotonic()
            try:
                view = View(self.kube)
                with self.lock:
                    # a server that was away for a while gets no burst afterwards
                    self.tick(view, min(now - before, 2))
                told = None
            except Exception as error:  # a cluster that is down or stopped by a test has no traffic
                text = f"{type(error).__name__}: {error}"
                self.state = {"error": text}
                if text != told and not self.ended():
                    told = text
                    print(f"traffic of {self.kube.server}: {text}", file=sys.stderr, flush=True)
            before = now

    def how(self, image_tag):
        result = dict(NORMAL)
        for text, how in self.behaviour.items():
            if text in image_tag:
                result.update(how)
        return result

    def tick(self, view, seconds):
        flows, alive = [], set()
        for namespace, pods in view.pods.items():
            alive.update((namespace, pod["name"]) for pod in pods)
        for source, rate, namespace, service, measures in requests(view):
            pods = view.behind(namespace, service)
            flows.append({"from": source, "namespace": namespace, "service": service, "rate": round(rate, 3),
                          "pods": {p["name"]: {"workload": p["workload"], "tag": p["tag"]} for p in pods}})
            if not pods and rate:
                key = ("unavailable", namespace, service)
                self.unavailable[key[1:]] = self.unavailable.get(key[1:], 0) + self.whole(key, rate * seconds)
            for pod in pods:
                self.serve(namespace, service, pod, rate * seconds / len(pods), measures)
        for key in [k for k in self.owed if k[0] == "pod" and k[1:3] not in alive]:
            del self.owed[key]
        for key in [k for k in self.application if k[:2] not in alive]:
            del self.application[key]  # a pod takes its series with it
        self.state = {"time": time.time(), "flows": flows, "behaviour": self.behaviour, "gap": self.gap,
                      "unavailable": [{"namespace": n, "service": s, "requests": c} for (n, s), c in self.unavailable.items()]}

    def whole(self, key, amount):
        owed = self.owed.get(key, 0.0) + amount
        count = int(owed + 1e-9)
        self.owed[key] = owed - count
        return count

    def serve(self, namespace, service, pod, amount, measures):
        how = self.how(pod["tag"])
        key = ("pod", namespace, pod["name"])
        total = self.whole(key + ("requests",), amount)
        failed = min(total, self.whole(key + ("errors",), total * how["errors"]))
        workload, milliseconds = (namespace, pod["workload"]), how["milliseconds"]

        def count(series, key, times):
            series[key] = series.get(key, 0) + times

        # Codes start at zero together: rate() needs a first sample to see the first failure.
        for code, times in (("200", total - failed), ("500", failed)):
            duration = self.application.setdefault((namespace, pod["name"], code), Histogram(APPLICATION_BUCKETS))
            duration.observe(milliseconds / 1000, times)
            if "istio" in (self.mesh, measures):
                count(self.mesh_requests, (*workload, code), times)
            if "linkerd" in (self.mesh, measures):
                count(self.linkerd_requests, (*workload, "failure" if code == "500" else "success"), times)
            if isinstance(measures, tuple):
                canary = f"{namespace}-{service}-80" if service.endswith("-canary") else ""
                count(self.nginx_requests, (*measures, canary, code), times)
                spent = self.nginx_durations.setdefault((*measures, canary), [0.0, 0])
                spent[0] += times * milliseconds / 1000
                spent[1] += times
        for mesh, durations in (("istio", self.mesh_durations), ("linkerd", self.linkerd_durations)):
            if mesh in (self.mesh, measures):
                durations.setdefault(workload, Histogram(ISTIO_BUCKETS)).observe(milliseconds, total)

    def metrics(self):
        if self.gap:
            return ""
        lines = ["# TYPE istio_requests_total counter"]
        mesh = 'reporter="destination",destination_workload_namespace="{}",destination_workload="{}"'
        for (namespace, workload, code), count in self.mesh_requests.items():
            lines.append(f'istio_requests_total{{{mesh.format(namespace, workload)},response_code="{code}"}} {count}')
        lines.append("# TYPE istio_request_duration_milliseconds histogram")
        for (namespace, workload), duration in self.mesh_durations.items():
            lines += duration.lines("istio_request_duration_milliseconds", mesh.format(namespace, workload))
        lines.append("# TYPE response_total counter")
        mesh = 'direction="inbound",namespace="{}",deployment="{}"'
        for (namespace, workload, classification), count in self.linkerd_requests.items():
            lines.append(f'response_total{{{mesh.format(namespace, workload)},classification="{classification}"}} {count}')
        lines.append("# TYPE response_latency_ms histogram")
        for (namespace, workload), duration in self.linkerd_durations.items():
            lines += duration.lines("response_latency_ms", mesh.format(namespace, workload))
        lines.append("# TYPE nginx_ingress_controller_requests counter")
        ingress = 'namespace="{}",ingress="{}",canary="{}"'
        for (*labels, code), count in self.nginx_requests.items():
            lines.append(f'nginx_ingress_controller_requests{{{ingress.format(*labels)},status="{code}"}} {count}')
        lines.append("# TYPE nginx_ingress_controller_response_duration_seconds summary")
        for labels, (spent, count) in self.nginx_durations.items():
            for part, value in (("sum", repr(spent)), ("count", count)):
                lines.append(f"nginx_ingress_controller_response_duration_seconds_{part}{{{ingress.format(*labels)}}} {value}")
        lines.append("# TYPE http_request_duration_seconds histogram")
        for (namespace, pod, code), duration in self.application.items():
            lines += duration.lines("http_request_duration_seconds", f'kubernetes_namespace="{namespace}",kubernetes_pod_name="{pod}",status="{code}"')
        lines.append("# TYPE bed_unavailable_requests_total counter")
        for (namespace, service), count in self.unavailable.items():
            lines.append(f'bed_unavailable_requests_total{{namespace="{namespace}",service="{service}"}} {count}')
        return "\n".join(lines) + "\n"

    def set_behaviour(self, wanted):
        for text, how in wanted.items():
            self.behaviour.pop(text, None)
            if how is not None:
                self.behaviour[text] = {k: float(v) for k, v in how.items() if k in NORMAL}
        return self.behaviour

    def request(self, wanted):
        path, rules = ROUTES[wanted["kind"]]
        root, plural = path.rsplit("/", 1)
        name = f"{wanted['namespace']}/{plural}/{wanted['name']}"
        return self.chooser.carry(name, rules(self.kube.get(f"{root}/namespaces/{name}")), wanted.get("headers") or {})

    def set_gap(self, wanted):
        self.gap = bool(wanted["on"])
        return {"on": self.gap}

    def handler(traffic):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, status, text, kind="application/json"):
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                with traffic.lock:  # not held while the answer is sent: a slow reader must not stop the traffic
                    answer = {"/metrics": lambda: (200, traffic.metrics(), "text/plain; version=0.0.4"),
                              "/state": lambda: (200, json.dumps(traffic.state, indent=1))}.get(self.path, lambda: (404, "{}"))()
                self.answer(*answer)

            def do_POST(self):
                verb = {"/behaviour": traffic.set_behaviour, "/gap": traffic.set_gap, "/request": traffic.request}.get(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if verb is None:
                    return self.answer(404, "{}")
                try:
                    with traffic.lock:
                        answer = verb(json.loads(body))
                except (ValueError, KeyError, TypeError, AttributeError, ApiError) as error:
                    return self.answer(400, json.dumps({"error": str(error)}))
                self.answer(200, json.dumps(answer))

        return Handler
