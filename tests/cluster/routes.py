"""What routes say, in one form: VirtualServices, HTTPRoutes and the Ingresses of ingress-nginx as lists of rules.

The first rule that takes a request carries it. A rule divides its requests between Services, may copy them, and may add
headers to the answers.
"""
from __future__ import annotations

import re

SEGMENT = 0.25  # the part of the requests that carries the header or cookie a route asks for
NGINX = "nginx.ingress.kubernetes.io/"


class Rule:
    def __init__(self, matches, to, copies=(), answers=()):
        """`matches`: [[(header, test, value)]], one of which has to fit whole; none takes everything. `to`: [(namespace,
        Service, weight, headers of answers)]. `copies`: [(part, namespace, Service)]. `answers`: headers of every answer."""
        self.matches, self.copies, self.answers = matches, list(copies), list(answers)
        # The only destination of a rule gets all its requests, whatever its weight says.
        self.to = [(namespace, service, 100, headers) for namespace, service, _, headers in to] if len(to) == 1 else list(to)

    def is_segment(self):
        """Whether it takes only requests that carry something."""
        return bool(self.matches) and all(self.matches)

    def takes(self, headers):
        carried = {name.lower(): value for name, value in headers.items()}
        return not self.matches or any(all(fits(carried.get(name.lower()), test, value) for name, test, value in match) for match in self.matches)

    def parts(self):
        """[(part of its requests, namespace, Service)], copies aside."""
        total = sum(weight for _, _, weight, _ in self.to)
        return [(weight / total, namespace, service) for namespace, service, weight, _ in self.to if weight]


def fits(found, test, value):
    if test == "absent":
        return found is None
    if found is None:
        return False
    return {"exact": lambda: found == value, "prefix": lambda: found.startswith(value), "regex": lambda: re.fullmatch(value, found) is not None,
            "present": lambda: True}[test]()


def host(name, namespace):
    """(namespace, Service) of a host, which may be short or a full DNS name."""
    parts = name.split(".")
    return (parts[1] if len(parts) > 1 else namespace), parts[0]


def added(change):
    """[(name, value)] of `headers.response` as Istio writes it."""
    response = (change or {}).get("response") or {}
    return [*(response.get("add") or {}).items(), *(response.get("set") or {}).items()]


def virtual_service(item):
    namespace, rules = item["metadata"]["namespace"], []
    for http in (item.get("spec") or {}).get("http") or []:
        def one(match):
            tests = [(name, *next(iter(test.items()), ("present", None))) for name, test in (match.get("headers") or {}).items()]
            queries = [(f"?{name}", *next(iter(test.items()), ("present", None))) for name, test in (match.get("queryParams") or {}).items()]
            return tests + queries + [(name, "absent", None) for name in match.get("withoutHeaders") or {}]
        to = [(*host(d["destination"]["host"], namespace), d.get("weight", 0), added(d.get("headers"))) for d in http.get("route") or []]
        copies = []
        if http.get("mirror"):
            copies.append(((http.get("mirrorPercentage") or {}).get("value", 100) / 100, *host(http["mirror"]["host"], namespace)))
        rules.append(Rule([one(match) for match in http.get("match") or []], to, copies, added(http.get("headers"))))
    return rules


def http_route(item):
    namespace, rules = item["metadata"]["namespace"], []
    words = {"Exact": "exact", "RegularExpression": "regex"}

    def given(filters):
        changes = [f["responseHeaderModifier"] for f in filters or [] if f["type"] == "ResponseHeaderModifier"]
        return [(h["name"], h["value"]) for change in changes for h in (change.get("add") or []) + (change.get("set") or [])]

    for rule in (item.get("spec") or {}).get("rules") or []:
        def one(match):
            tests = [(h["name"], words[h.get("type", "Exact")], h["value"]) for h in match.get("headers") or []]
            return tests + [(f"?{q['name']}", words[q.get("type", "Exact")], q["value"]) for q in match.get("queryParams") or []]
        to = [(b.get("namespace", namespace), b["name"], b.get("weight", 1), given(b.get("filters"))) for b in rule.get("backendRefs") or []]
        filters = rule.get("filters") or []
        copied = [f["requestMirror"]["backendRef"] for f in filters if f["type"] == "RequestMirror"]
        copies = [(1.0, b.get("namespace", namespace), b["name"]) for b in copied]
        rules.append(Rule([one(match) for match in rule.get("matches") or []], to, copies, given(filters)))
    return rules


def by_service(item):
    """Whether an HTTPRoute hangs from a Service, as in Linkerd."""
    return any(p.get("kind") == "Service" for p in (item.get("spec") or {}).get("parentRefs") or [])


def annotation(item, name):
    return (item["metadata"].get("annotations") or {}).get(NGINX + name)


def paths(ingress):
    for rule in (ingress.get("spec") or {}).get("rules") or []:
        for path in (rule.get("http") or {}).get("paths") or []:
            yield (rule.get("host"), path.get("path")), path["backend"]["service"]["name"]


def nginx(ingresses):
    """[(namespace, Ingress, rules)]: each of nginx's Ingresses with what its canary takes from it."""
    def is_nginx(item):
        return "nginx" in ((item["metadata"].get("annotations") or {}).get("kubernetes.io/ingress.class"), (item.get("spec") or {}).get("ingressClassName"))

    ours = [i for i in ingresses if is_nginx(i)]
    for item in ours:
        if annotation(item, "canary") == "true":
            continue
        namespace, rules = item["metadata"]["namespace"], []
        for place, service in paths(item):
            canary = next(((i, s) for i in ours if i["metadata"]["namespace"] == namespace and annotation(i, "canary") == "true"
                           for other, s in paths(i) if other == place), None)
            weight = 0
            if canary:
                weight = int(annotation(canary[0], "canary-weight") or 0)
                conditions = by_request(canary[0])
                if conditions:
                    rules.append(Rule(conditions, [(namespace, canary[1], 100, [])]))
            rest = [(namespace, service, 100 - weight, [])]
            rules.append(Rule([], rest + [(namespace, canary[1], weight, [])] if canary else rest))
        yield namespace, item["metadata"]["name"], rules


def by_request(ingress):
    header, cookie = annotation(ingress, "canary-by-header"), annotation(ingress, "canary-by-cookie")
    conditions = []
    if header:
        value, pattern = annotation(ingress, "canary-by-header-value"), annotation(ingress, "canary-by-header-pattern")
        conditions.append([(header, "exact", value) if value else (header, "regex", pattern) if pattern else (header, "exact", "always")])
    if cookie:
        conditions.append([("Cookie", "regex", f"(.*; *)?{re.escape(cookie)}=always(;.*)?")])
    return conditions


def shares(rules):
    """[(part of the requests, namespace, Service)] of one route, copies included."""
    segment = next((r for r in rules if r.is_segment()), None)
    everybody = next((r for r in rules if not r.is_segment()), None)
    result = []
    for part, rule in ((SEGMENT if segment else 0, segment), (1 - SEGMENT if segment else 1, everybody)):
        if rule and part:
            result += [(part * share, namespace, service) for share, namespace, service in rule.parts()]
            result += [(part * share, namespace, service) for share, namespace, service in rule.copies if share]
    return result


class Chooser:
    """Carries single requests. What a weight owes is carried over: of ten requests at 20 % exactly two go to the canary."""

    def __init__(self):
        self.credit = {}

    def carry(self, route, rules, headers):
        """{"service", "headers"} of the answer to a request with `headers`; `route` names what the rules are of."""
        for index, rule in enumerate(rules):
            if not rule.takes(headers):
                continue
            credit = self.credit.setdefault((route, index), {})
            total = sum(weight for _, _, weight, _ in rule.to)
            for number, (_, _, weight, _) in enumerate(rule.to):
                credit[number] = credit.get(number, 0) + weight
            chosen = max(range(len(rule.to)), key=lambda number: (credit[number], -number))
            credit[chosen] -= total
            namespace, service, _, given = rule.to[chosen]
            return {"namespace": namespace, "service": service, "headers": [[name, value] for name, value in rule.answers + given]}
        return {"error": "no rule takes it"}
